/** Draws docs/page.png: the overview of the web page, in light and dark colours, with a demonstration load. */
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Buffer } from "node:buffer";
import type { Browser } from "playwright-core";
import type { AmqpConnection } from "../lib/amqp/client/connection.ts";
import { connectBroker } from "../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../lib/amqp/client/url.ts";
import { HttpServer } from "../lib/broker/http/server.ts";
import { Broker } from "../lib/broker/server.ts";
import { startBrowser } from "../tests/support/chromium.ts";

const FILE = fileURLToPath(new URL("../docs/page.png", import.meta.url));
const SIZE = { width: 1080, height: 580 };
/** The time for the load before the picture, and the time between its messages, in milliseconds. */
const LOAD_MS = 65_000;
const STEP_MS = 100;

/** The queues, and the routing keys of the exchange `orders` that they are bound with. */
const QUEUES: Readonly<Record<string, string>> = {
  "orders.new": "order.created",
  "orders.paid": "order.paid",
  invoices: "order.paid",
  emails: "order.*",
  "audit.log": "#",
};

async function main(): Promise<void> {
  const seconds = Number(process.argv[2] ?? LOAD_MS / 1000);
  const broker = await Broker.open({ product: "mqcat" });
  const amqp = (await broker.listen("amqp://127.0.0.1:0")).replace("//", "//guest:guest@");
  const server = await HttpServer.listen(broker, ":0", { pageWrites: true });
  const clients = [await connectBroker(parseAmqpUrl(amqp)), await connectBroker(parseAmqpUrl(amqp))];
  const browser = await startBrowser();
  let drawn = false;
  try {
    await declare(clients[0]!);
    await consume(clients[1]!);
    const loaded = load(server.url, () => !drawn);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const pictures = [];
    for (const scheme of ["light", "dark"] as const) {
      pictures.push(await picture(browser, server.url, scheme));
    }
    drawn = true;
    await loaded;
    fs.writeFileSync(FILE, await beside(browser, pictures));
  } finally {
    await browser.close();
    for (const client of clients) await client.close();
    await server.close();
    await broker.close();
  }
}

async function declare(client: AmqpConnection): Promise<void> {
  const channel = await client.open();
  await channel.call(
    "exchange.declare",
    { exchange: "orders", type: "topic", durable: true },
    "exchange.declare-ok",
  );
  for (const [queue, routingKey] of Object.entries(QUEUES)) {
    await channel.call("queue.declare", { queue, durable: true }, "queue.declare-ok");
    await channel.call("queue.bind", { queue, exchange: "orders", routingKey }, "queue.bind-ok");
  }
}

/** Consumes all queues but one, which grows. */
async function consume(client: AmqpConnection): Promise<void> {
  const channel = await client.open();
  for (const queue of Object.keys(QUEUES)) {
    if (queue !== "invoices") await channel.call("basic.consume", { queue, noAck: true }, "basic.consume-ok");
  }
}

/** Publishes more and less messages, as a day has. */
async function load(url: string, isWanted: () => boolean): Promise<void> {
  for (let step = 0; isWanted(); step++) {
    const count = Math.round(5 + 3 * Math.sin(step / 60) + 2 * Math.random());
    await Promise.all(
      Array.from({ length: count }, (_, at) => publish(url, at % 3 === 0 ? "order.paid" : "order.created")),
    );
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

async function publish(url: string, key: string): Promise<void> {
  const response = await fetch(`${url}/api/exchanges/%2F/orders/publish`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa("guest:guest")}` },
    body: JSON.stringify({ routing_key: key, payload: "{}", payload_encoding: "string", properties: {} }),
  });
  await response.body?.cancel();
}

/** @returns the overview as a PNG */
async function picture(browser: Browser, url: string, colorScheme: "light" | "dark"): Promise<Buffer> {
  const context = await browser.newContext({ colorScheme, viewport: SIZE });
  const page = await context.newPage();
  await page.goto(url);
  await page.getByLabel("User").fill("guest");
  await page.getByLabel("Password").fill("guest");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator(".chart canvas").nth(1).waitFor();
  await page.evaluate("document.activeElement.blur()");
  const drawn = await page.screenshot();
  await context.close();
  return drawn;
}

/** Joins two pictures: the right half of the second one is over the first one. */
async function beside(browser: Browser, [light, dark]: readonly Buffer[]): Promise<Buffer> {
  const page = await browser.newPage({ viewport: SIZE });
  const url = (picture: Buffer) => `data:image/png;base64,${picture.toString("base64")}`;
  await page.setContent(
    `<style>body { margin: 0 } img { position: absolute } .dark { clip-path: polygon(58% 0, 100% 0, 100% 100%, 42% 100%) }</style>` +
      `<img src="${url(light!)}"><img class="dark" src="${url(dark!)}">`,
  );
  await page.waitForLoadState("networkidle");
  return await page.screenshot();
}

await main();
