/** The package of npm: packed, installed in an empty folder, and used on Node 20, 22 and 24 and on Bun. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { after, describe } from "node:test";
import { packNpm } from "../../scripts/npm.ts";
import { findBun } from "../../scripts/bun.ts";
import { installed, requirePeer, tempDir } from "../support/helpers.ts";

const dir = tempDir();
after(dir.remove);

const QUIET = ["--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=20000", "--loglevel=error"];
const isPresent = installed("npm") && installed("node");

/** Versions of Node that npm has as packages, besides the installed one. */
const NODES = ["22.22.3", "24.14.1"];

const LIBRARY = `
import { openBroker, connectAmqp, Push, Pull } from "mqcat";
const pull = new Pull();
const push = new Push();
push.connect(await pull.bind("tcp://127.0.0.1:0"));
await push.send("over ZeroMQ");
console.log(new TextDecoder().decode((await pull.receive())[0]));
await push.close();
await pull.close();
const broker = await openBroker();
const client = await connectAmqp(await broker.listen("amqp://127.0.0.1:0"));
await client.declareQueue("q");
await client.publish("q", "over AMQP");
const message = await client.get("q");
console.log(message.text());
message.ack();
await client.close();
await broker.close();
`;

/** Code that uses the types: a wrong one must be an error. */
const TYPES = `
import { connectAmqp, type AmqpClient, Push } from "mqcat";
const client: AmqpClient = await connectAmqp("amqp://localhost");
await client.publish("q", "text");
await new Push().send("text");
// @ts-expect-error a message is bytes or text
await new Push().send(1);
`;

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: dir.path,
    encoding: "utf8",
    timeout: 120_000,
  });
  assert.equal(status, 0, `${command} ${args.join(" ")}: ${error ?? ""}${stderr}`);
  return stdout;
}

/** Uses each protocol of a broker, the echo commands and `probe`. */
const COMMANDS = `rm -f ready echo; mkfifo ready echo
mqcat push stomp:/queue/q --declare -D stomp; mqcat pull amqp:q --drain
mqcat sub mqtt:topic -n 1 --ready-file ready & read line <ready; mqcat pub mqtt:topic -D mqtt; wait
mqcat echo-server 127.0.0.1:0 --once -q --ready-file echo & echo echo | mqcat echo-client "$(cat echo)" -q; wait
mqcat probe "$AMQP_URL"`;

describe("the package of npm", () => {
  const test = requirePeer("node and npm", isPresent, 300_000);

  test("npx mqcat - runs from a tarball, without the network, and the library works on each runtime", () => {
    const tarball = packNpm();
    assert.ok(fs.statSync(tarball).size < 2_000_000, "the package is under 2 MB");
    fs.writeFileSync(dir.file("package.json"), '{ "type": "module" }');
    run("npm", ["install", "--offline", ...QUIET, tarball]);
    const installedPackages = fs.readdirSync(dir.file("node_modules")).filter((name) =>
      !name.startsWith(".")
    );
    assert.deepEqual(installedPackages, ["mqcat"], "it has no dependencies");

    assert.match(run("npx", ["--offline", "mqcat", "--version"]), /^mqcat \d+\.\d+\.\d+\n$/);
    const put = "seq 3 | npx mqcat queue put q --declare; npx mqcat queue get q --drain; echo $AMQP_URL";
    assert.match(
      run("npx", ["--offline", "mqcat", "queue", "run", "--", "sh", "-c", put]),
      /^1\n2\n3\namqp:\/\/guest:guest@127\.0\.0\.1:\d+\n$/,
    );

    const old = `data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.18.9"})`;
    const refused = spawnSync("node", ["--import", old, "node_modules/.bin/mqcat", "queue", "list"], {
      cwd: dir.path,
      encoding: "utf8",
    });
    assert.deepEqual([refused.status, refused.stderr], [
      1,
      "mqcat: Node 20.18.9 is too old: mqcat needs Node 20.19 or later\n",
    ]);

    fs.writeFileSync(dir.file("library.js"), LIBRARY);
    const aliases = NODES.map((version) => `node-${version}@npm:node@${version}`);
    run("npm", ["install", ...QUIET, ...aliases]);
    const nodes = NODES.map((version) => dir.file(`node_modules/node-${version}/bin/node`));
    for (const runtime of ["node", ...nodes, findBun()]) {
      assert.equal(run(runtime, ["library.js"]), "over ZeroMQ\nover AMQP\n", runtime);
      const main = "node_modules/mqcat/dist/cli/main.js";
      const script = `mqcat() { ${runtime} ${main} "$@"; }\n${COMMANDS}`;
      assert.match(
        run(runtime, [main, "queue", "run", "--", "sh", "-ec", script]),
        /^stomp\nmqtt\necho\n.*: an AMQP broker, mqcat \d/,
        runtime,
      );
    }
  });

  test("the library has types", () => {
    fs.writeFileSync(dir.file("types.mts"), TYPES);
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2024", "--types", "node"];
    run("npm", ["install", ...QUIET, "typescript@7.0.2", "@types/node@20"]);
    run("npx", ["tsc", ...options, "types.mts"]);
  });
});
