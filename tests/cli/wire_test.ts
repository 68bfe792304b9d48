/** `--wire`: the frames of real connections, without secrets. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { type Exit, readyFile, run, start, test } from "../support/mqcat.ts";

const SECRET = "s3cret";

/** The lines of `--wire`, without the address of the peer; none may have the secret. */
function frames({ stderr, code }: Exit): string[] {
  assert.equal(code, 0, stderr);
  assert.ok(!stderr.includes(SECRET), `a secret is shown: ${stderr}`);
  return [...stderr.matchAll(/^mqcat: [\w ]+: (->|<-) \S+ (.*)$/gm)].map(([, direction, text]) =>
    `${direction} ${text}`
  );
}

/** Asserts that `expected` occur in `lines`, in this order. */
function inOrder(lines: readonly string[], expected: readonly string[]): void {
  let at = -1;
  for (const line of expected) {
    at = lines.indexOf(line, at + 1);
    assert.ok(at >= 0, `'${line}' is missing in:\n${lines.join("\n")}`);
  }
}

describe("--wire", () => {
  test("zeromq - both ends show greeting, handshake and message, also with --quiet", async () => {
    using pull = start(["pull", "@:0", "--transient", "--wire"]);
    const push = await run(["push", `>${await pull.readyEndpoint()}`, "-D", "hello", "--wire", "-q"]);
    inOrder(frames(push), [
      "-> ZMTP greeting 3.1 NULL",
      "-> ZMTP READY Socket-Type=PUSH",
      '-> ZMTP message 1 frame 5 bytes "hello"',
    ]);
    inOrder(frames(await pull.exit()), [
      "<- ZMTP greeting 3.1 NULL",
      "<- ZMTP READY Socket-Type=PUSH",
      '<- ZMTP message 1 frame 5 bytes "hello"',
    ]);
  });

  test("zeromq - PLAIN without the password; the same over a WebSocket", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("users"), `jane:${SECRET}\n`);
    for (const scheme of ["tcp", "ws"]) {
      using pull = start([
        "pull",
        `@${scheme}://127.0.0.1:0`,
        "--transient",
        "--plain-users",
        dir.file("users"),
      ]);
      const env = { MQCAT_PASSWORD: SECRET };
      const endpoint = `>${await pull.readyEndpoint()}`;
      const push = await run(["push", endpoint, "--user", "jane", "-D", "hello", "--wire"], { env });
      inOrder(frames(push), [
        '-> ZMTP HELLO username="jane" password=(hidden)',
        "-> ZMTP INITIATE Socket-Type=PUSH",
        '-> ZMTP message 1 frame 5 bytes "hello"',
      ]);
    }
  });

  test("zeromq - of CURVE only names and sizes", async () => {
    using dir = tempDir();
    const key = dir.file("server");
    await run(["keygen", key]);
    const server = ["--curve-server", "--curve-key", `${key}.key_secret`];
    using pull = start(["pull", "@:0", "--transient", ...server]);
    const endpoint = `>${await pull.readyEndpoint()}`;
    const push = await run(["push", endpoint, "--curve-server-key", `${key}.key`, "-D", SECRET, "--wire"]);
    const seen = frames(push);
    inOrder(seen, ["-> ZMTP greeting 3.1 CURVE", "-> ZMTP HELLO 200 bytes"]);
    assert.match(seen.at(-1)!, /^-> ZMTP MESSAGE \d+ bytes$/);
  });

  test("brokers - client and broker show AMQP, MQTT and STOMP without passwords", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    const listen = [":0", "mqtt://127.0.0.1:0", "stomp://127.0.0.1:0"];
    const users = ["--user", "jane"];
    using broker = start([
      "queue",
      "serve",
      ...listen,
      ...users,
      "--memory",
      "--ready-file",
      ready,
      "--wire",
    ], { env: { MQCAT_PASSWORD: SECRET } });
    const urls = [...await readyFile(ready)].map((url) => url.replace("://", `://jane:${SECRET}@`));
    const env = { AMQP_URL: urls[0]! };
    await run(["queue", "declare", "jobs"], { env });
    const put = frames(await run(["queue", "put", "jobs", "-D", "to do", "--wire"], { env }));
    inOrder(put, [
      "-> AMQP protocol header 0-9-1",
      '-> AMQP connection.open virtual_host="/"',
      '-> AMQP basic.publish ch=2 exchange="" routing_key="jobs" mandatory',
      '-> AMQP content body ch=2 5 bytes "to do"',
      "<- AMQP basic.ack ch=2 delivery_tag=1",
    ]);
    const get = frames(await run(["queue", "get", "jobs", "-n", "1", "--wire"], { env }));
    inOrder(get, [
      '<- AMQP content body ch=2 5 bytes "to do"',
      "-> AMQP basic.ack ch=2 delivery_tag=1 multiple",
    ]);
    const mqtt = frames(await run(["pub", urls[1]!, "-t", "a/b", "-D", "hello", "--wire"]));
    assert.match(mqtt.join("\n"), /^-> MQTT CONNECT version=5\.0 .*user=jane password=\(hidden\)$/m);
    assert.match(mqtt.join("\n"), /^-> MQTT PUBLISH qos=1 id=1 topic=a\/b.* 5 bytes "hello"$/m);
    const stomp = frames(await run(["pub", `${urls[2]}/topic/a.b`, "-D", "hello", "--wire"]));
    assert.match(stomp.join("\n"), /^-> STOMP \w+ .*login=jane passcode=\(hidden\)/m);
    assert.match(stomp.join("\n"), /^-> STOMP SEND .*destination=\/topic\/a.b.* 5 bytes "hello"$/m);
    assert.match(stomp.join("\n"), /^<- STOMP RECEIPT receipt-id=/m);
    broker.kill("SIGTERM");
    const ended = await broker.exit();
    inOrder(frames({ ...ended, code: 0 }), [
      "<- AMQP protocol header 0-9-1",
      '<- AMQP content body ch=2 5 bytes "to do"',
      "-> AMQP basic.ack ch=2 delivery_tag=1",
    ]);
    assert.match(ended.stderr, /<- \S+ MQTT CONNECT .*password=\(hidden\)/);
    assert.match(ended.stderr, /<- \S+ STOMP \w+ .*passcode=\(hidden\)/);
  });
});
