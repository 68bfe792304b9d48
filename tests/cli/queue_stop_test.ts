/** A first signal, and -w, end the queue commands at each stage in which a broker stops answering. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { run, start, test } from "../support/mqcat.ts";
import { waitFor } from "../support/helpers.ts";
import { ANSWERS, type Script, serve } from "../support/scripted_broker.ts";

/** A broker that answers as usual, except to these methods. */
function without(...names: string[]): Script {
  const answers = Object.fromEntries(Object.entries(ANSWERS).filter(([name]) => !names.includes(name)));
  return { answers: () => answers };
}

const GET = ["get", "q"];
const PUT = ["put", "q", "-D", "x"];
const MOVE = ["move", "q", "r"];

/** What the broker does not answer, the method after which it hangs, and the commands that then wait. */
const STAGES: [name: string, script: Script, last: string, ...commands: string[][]][] = [
  ["the protocol header", { silent: true }, "header", GET, PUT, ["declare", "q"]],
  ["the login", without("connection.start-ok"), "connection.start-ok", GET],
  ["channel.open", without("channel.open", "connection.close"), "channel.open", GET, PUT, ["purge", "q"]],
  ["queue.declare", without("queue.declare", "connection.close"), "queue.declare", GET, MOVE],
  ["basic.consume", without("basic.consume", "connection.close"), "basic.consume", GET],
  ["basic.cancel", without("basic.cancel", "connection.close"), "basic.consume", GET, [...GET, "--drain"]],
];

/** Far less than the deadlines and heartbeats of the client, in milliseconds. */
const SOON = 6000;

describe("a broker that stops answering", () => {
  for (const [name, script, last, ...commands] of STAGES) {
    for (const args of commands) {
      test(`${name} - SIGTERM ends 'queue ${args.join(" ")}'`, () =>
        serve(script, async (url, connections) => {
          using program = start(["queue", ...args, "--url", url]);
          await waitFor(() => connections.some(({ asked }) => asked.includes(last)), 30_000, last);
          const began = performance.now();
          program.kill("SIGTERM");
          const { code, stderr } = await program.exit();
          assert.equal(code, 143, stderr);
          assert.ok(performance.now() - began < SOON, `${performance.now() - began} ms`);
        }));
    }
  }

  const late: [name: string, script: Script, args: string[]][] = [
    ["the protocol header", { silent: true }, GET],
    ["the protocol header", { silent: true }, PUT],
    ["channel.open", without("channel.open", "connection.close"), GET],
    ["basic.cancel", without("basic.cancel", "connection.close"), GET],
    ["the confirm", without("connection.close"), PUT],
  ];
  for (const [name, script, args] of late) {
    test(`${name} - -w ends 'queue ${args.join(" ")}' with 3`, () =>
      serve(script, async (url) => {
        const began = performance.now();
        const { code, stderr } = await run(["queue", ...args, "--url", url, "-w", "300ms"]);
        assert.equal(code, 3, stderr);
        assert.match(stderr, /\(-w\)/);
        assert.ok(performance.now() - began < SOON + 3000, `${performance.now() - began} ms`);
      }));
  }

  test("the confirm - after SIGTERM, put says what it waits for; a second signal ends it", () =>
    serve({}, async (url, connections) => {
      using put = start(["queue", "put", "q", "-D", "x", "-D", "y", "--url", url]);
      await waitFor(() => connections[0]?.asked.filter((name) => name === "content").length === 2, 30_000);
      put.kill("SIGTERM");
      await put.waitForStderr(
        /^mqcat: queue put: waiting up to 30 s for 2 unsent messages; again to stop now$/m,
      );
      put.kill("SIGTERM");
      assert.equal((await put.exit()).code, 143);
    }));

  test("no peer - after SIGTERM, push says what it waits for; a second signal ends it", async () => {
    using push = start(["push", "tcp://127.0.0.1:1", "-v"], { stdin: "a\nb\nc\n", open: true });
    await push.waitForStderr(/trying again|retry/);
    push.kill("SIGTERM");
    await push.waitForStderr(/^mqcat: push: waiting up to 30 s for 3 unsent messages; again to stop now$/m);
    push.kill("SIGTERM");
    assert.equal((await push.exit()).code, 143);
  });
});
