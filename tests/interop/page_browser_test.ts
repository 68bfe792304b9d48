/** The page in a real browser: what users do with it, its accessibility, and what it must not do. */
import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { type AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { Broker } from "../../lib/broker/server.ts";
import { HttpServer } from "../../lib/broker/http/server.ts";
import { startBrowser, test } from "../support/chromium.ts";
import { waitFor } from "../support/helpers.ts";

const AXE = fileURLToPath(new URL("../../node_modules/axe-core/axe.min.js", import.meta.url));
const LOGIN = { admin: "secret", viewer: "secret" };

/** Tests of the browser's side only: one runtime is enough. */
const inBrowser: typeof test = process.versions["bun"] === undefined ? test : () => {};

/** The addresses of all views. */
const VIEWS = [
  "overview",
  "queues",
  "queues/%2F/jobs",
  "exchanges",
  "exchanges/%2F/orders",
  "exchanges/%2F/amq.default",
  "connections",
  "consumers",
];

let broker: Broker;
let server: HttpServer;
let readOnly: HttpServer;
let client: AmqpConnection;
let browser: Browser;

before(async () => {
  broker = await Broker.open();
  const amqp = await broker.listen("amqp://127.0.0.1:0");
  broker.users.put("admin", "secret", ["administrator"]);
  broker.users.put("viewer", "secret", ["monitoring"]);
  broker.users.permit("admin", "/", { configure: ".*", write: ".*", read: ".*" });
  broker.users.permit("viewer", "/", { configure: "^$", write: "^$", read: "^$" });
  server = await HttpServer.listen(broker, ":0", { pageWrites: true, sampleInterval: 500 });
  readOnly = await HttpServer.listen(broker, ":0");
  client = await connectBroker(parseAmqpUrl(amqp.replace("//", "//admin:secret@")));
  const channel = await client.open();
  for (const queue of ["jobs", "done", "audit"]) {
    await channel.call("queue.declare", { queue, durable: true }, "queue.declare-ok");
  }
  for (const [exchange, type] of [["orders", "topic"], ["copies", "fanout"]] as const) {
    await channel.call("exchange.declare", { exchange, type }, "exchange.declare-ok");
  }
  await channel.call(
    "queue.bind",
    { queue: "jobs", exchange: "orders", routingKey: "order.*" },
    "queue.bind-ok",
  );
  await channel.call("queue.bind", { queue: "audit", exchange: "copies" }, "queue.bind-ok");
  const copies = { destination: "copies", source: "orders", routingKey: "#" };
  await channel.call("exchange.bind", copies, "exchange.bind-ok");
  await channel.call("basic.consume", { queue: "audit", noAck: true }, "basic.consume-ok");
  for (let i = 1; i <= 25; i++) await publish({ id: i });
});

after(async () => {
  await browser?.close();
  await client?.close();
  await server?.close();
  await readOnly?.close();
  await broker?.close();
});

async function publish(payload: unknown): Promise<void> {
  const response = await fetch(`${server.url}/api/exchanges/%2F/orders/publish`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa("admin:secret")}` },
    body: JSON.stringify({
      routing_key: "order.new",
      payload: JSON.stringify(payload),
      payload_encoding: "string",
      properties: { content_type: "application/json" },
    }),
  });
  await response.body?.cancel();
}

/** A page that reports everything that it must not do. */
interface Watched extends AsyncDisposable {
  readonly page: Page;
  readonly base: string;
  readonly problems: string[];
}

async function open(
  user: keyof typeof LOGIN | undefined,
  options: BrowserContextOptions = {},
  { url: base } = server,
): Promise<Watched> {
  browser ??= await startBrowser();
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // A refused request is an error in the console, too.
    const isRefusal = /status of 40[013]/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !isRefusal) {
      problems.push(`console: ${message.text()}`);
    }
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith("data:")) {
      problems.push(`request of ${request.url()}`);
    }
  });
  await page.goto(base);
  if (user !== undefined) await logIn(page, user);
  return { page, base, problems, [Symbol.asyncDispose]: () => context.close() };
}

async function logIn(page: Page, user: keyof typeof LOGIN): Promise<void> {
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(LOGIN[user]);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

async function show(page: Page, base: string, view: string): Promise<void> {
  await page.goto(`${base}/#/${view}`);
  await page.locator("h1").waitFor();
  await waitFor(
    async () => await page.getByText("Loading …").count() === 0,
    undefined,
    `the data of ${view}`,
  );
}

/** The text of the region that reports the outcome of a change. */
const outcome = (page: Page, role: "status" | "alert") => page.locator(`.notice [role=${role}]:not(:empty)`);

const axeSource = () => fs.readFileSync(AXE, "utf8");

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

async function violations(page: Page): Promise<string[]> {
  const found = await page.evaluate("axe.run().then(({ violations }) => violations)") as Violation[];
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).slice(0, 3).join(" ")}`);
}

describe("page, in a browser", () => {
  test("page - log in, watch a chart move, browse, publish, move, purge, log out", async () => {
    await using watched = await open(undefined);
    const { page, problems } = watched;
    await page.getByLabel("User").fill("admin");
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").getByText("Login failed").waitFor();
    await logIn(page, "admin");
    assert.equal(await page.evaluate("document.cookie"), "", "scripts do not see the session");
    assert.equal(await page.evaluate("document.activeElement.tagName"), "H1");

    await page.getByLabel("Refresh").selectOption("2 s");
    const chart = page.getByRole("img", { name: /^Messages in queues/ });
    const pixels = () => page.evaluate("document.querySelector('.chart canvas').toDataURL()");
    const drawn = await pixels();
    await publish({ id: 26 });
    await waitFor(
      async () => /Now: ready 26, unacknowledged 0$/.test((await chart.getAttribute("aria-label"))!),
      undefined,
      "the chart to move",
    );
    assert.notEqual(await pixels(), drawn);

    await page.getByRole("link", { name: "Queues" }).click();
    await page.getByLabel("Queues with the name").fill("job");
    await page.getByText("1 of 3 entries").waitFor();
    await page.getByRole("link", { name: "jobs", exact: true }).click();
    await page.getByRole("button", { name: "Browse messages" }).click();
    await page.getByText("Messages 1 to 20, the queue is unchanged").waitFor();
    assert.equal(
      await page.getByLabel("Body of message 1", { exact: true }).textContent(),
      '{\n  "id": 1\n}',
    );
    await page.getByRole("button", { name: "Next" }).click();
    await page.getByText("Messages 21 to 26, the queue is unchanged").waitFor();

    await page.getByRole("button", { name: "Publish", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Body").fill("by hand");
    await dialog.getByLabel("Headers").fill("{");
    await dialog.getByRole("button", { name: "Publish" }).click();
    await outcome(page, "alert").getByText("Headers: ").waitFor();
    await dialog.getByLabel("Headers").fill('{"by": "hand"}');
    await dialog.getByRole("button", { name: "Publish" }).click();
    await outcome(page, "status").getByText("Published a message").waitFor();
    const queue = broker.vhosts.get("/")!.queues;
    assert.equal(queue.get("jobs")!.ready, 27);

    await page.getByRole("button", { name: "Move messages" }).click();
    await dialog.getByLabel("To the queue").fill("done");
    await dialog.getByLabel("Number of messages").fill("7");
    await dialog.getByRole("button", { name: "Move" }).click();
    await outcome(page, "status").getByText("Moved 7 messages to done").waitFor();
    assert.deepEqual([queue.get("jobs")!.ready, queue.get("done")!.ready], [20, 7]);

    await show(page, watched.base, "queues/%2F/done");
    await page.getByRole("button", { name: "Purge" }).click();
    await dialog.getByText("All 7 ready messages are deleted").waitFor();
    await dialog.getByRole("button", { name: "Purge" }).click();
    await outcome(page, "status").getByText("Purged done").waitFor();
    assert.equal(queue.get("done")!.ready, 0);

    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Password").waitFor();
    await page.goto(`${watched.base}/#/queues`);
    await page.reload();
    await page.getByLabel("Password").waitFor();
    assert.deepEqual(problems, []);
  });

  test("page - declare, bind and delete, with the drawing of the bindings", async () => {
    await using watched = await open("admin");
    const { page, base, problems } = watched;
    const dialog = page.getByRole("dialog");
    await show(page, base, "queues");
    await page.getByRole("button", { name: "Declare a queue" }).click();
    await dialog.getByLabel("Name").fill("a b/c?");
    await dialog.getByLabel("Arguments").fill('{"x-max-length": 10}');
    await dialog.getByRole("button", { name: "Declare" }).click();
    await outcome(page, "status").getByText("Declared the queue a b/c?").waitFor();
    await show(page, base, "exchanges/%2F/orders");
    await page.getByRole("button", { name: "Bind", exact: true }).click();
    await dialog.getByLabel("Name").fill("a b/c?");
    await dialog.getByLabel("Routing key").fill("special.#");
    await dialog.getByRole("button", { name: "Bind", exact: true }).click();
    await outcome(page, "status").getByText("Bound").waitFor();
    const drawing = page.getByRole("region", { name: "Drawing of the bindings" });
    await drawing.getByText("special.#").first().waitFor({ state: "attached" });
    await drawing.getByRole("link", { name: "queue a b/c?" }).click();
    await page.getByRole("heading", { name: "a b/c?" }).waitFor();
    await page.getByText("x-max-length").waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    await dialog.waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    await page.getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "Queues" }).waitFor();
    assert.ok(!broker.vhosts.get("/")!.queues.has("a b/c?"));
    assert.deepEqual(problems, []);
  });

  test("page - a user without permissions reads why a change is refused, and a read-only page offers none", async () => {
    await using watched = await open("viewer");
    const { page, base } = watched;
    const dialog = page.getByRole("dialog");
    await show(page, base, "queues/%2F/jobs");
    await page.getByRole("button", { name: "Purge" }).click();
    await dialog.getByRole("button", { name: "Purge" }).click();
    await outcome(page, "alert").getByText("refused for user 'viewer'").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Browse messages" }).click();
    await page.getByRole("region", { name: "Messages of jobs" }).getByText("refused for user 'viewer'")
      .waitFor();
    await using other = await open("admin", {}, readOnly);
    await show(other.page, other.base, "queues/%2F/jobs");
    await other.page.getByText("read-only").waitFor();
    for (const name of ["Publish", "Move messages", "Purge", "Delete"]) {
      assert.equal(await other.page.getByRole("button", { name }).count(), 0, name);
    }
    await other.page.getByRole("button", { name: "Browse messages" }).click();
    await other.page.getByText(/Messages 1 to \d+, the queue is unchanged/).waitFor();
  });

  for (const colorScheme of ["light", "dark"] as const) {
    inBrowser(`page - axe finds no violation in ${colorScheme} colours`, async () => {
      await using watched = await open(undefined, { colorScheme });
      const { page, base, problems } = watched;
      await page.getByLabel("User").waitFor();
      await page.evaluate(axeSource());
      assert.deepEqual(await violations(page), [], "login");
      await logIn(page, "admin");
      for (const view of VIEWS) {
        await show(page, base, view);
        if (view === "queues/%2F/jobs") {
          await page.getByRole("button", { name: "Browse messages" }).click();
          await page.getByText(/Messages 1 to/).waitFor();
        }
        assert.deepEqual(await violations(page), [], view);
      }
      for (const [view, button] of [["queues", "Declare a queue"], ["queues/%2F/jobs", "Publish"]] as const) {
        await show(page, base, view);
        await page.getByRole("button", { name: button }).click();
        assert.deepEqual(await violations(page), [], button);
      }
      assert.deepEqual(problems, []);
    });
  }

  inBrowser("page - fits a phone, and is used by keyboard", async () => {
    await using watched = await open("admin", { viewport: { width: 360, height: 740 }, isMobile: true });
    const { page, base } = watched;
    for (const view of VIEWS) {
      await show(page, base, view);
      const width = await page.evaluate("document.documentElement.scrollWidth");
      assert.equal(width, 360, `${view} is wider than the screen`);
    }
    await show(page, base, "queues");
    await page.reload();
    await page.getByRole("heading", { name: "Queues" }).waitFor();
    await page.keyboard.press("Shift+Tab");
    await page.evaluate("document.querySelector('.skip').focus()");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate("document.activeElement.id"), "main");
    await page.getByRole("button", { name: "Name" }).focus();
    await page.keyboard.press("Enter");
    await page.locator("th[aria-sort=descending]", { hasText: "Name" }).waitFor();
    await page.keyboard.press("Enter");
    await page.locator("th[aria-sort=ascending]", { hasText: "Name" }).waitFor();
    const focused = await page.evaluate("document.activeElement.textContent");
    assert.match(String(focused), /^Name/, "the refresh keeps the focus");
  });
});
