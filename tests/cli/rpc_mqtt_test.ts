/** req and rep over MQTT 5.0: our broker and mosquitto. The other ends are paho and mosquitto_rr. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import net from "node:net";
import { after, describe } from "node:test";
import { requirePeer, tempDir } from "../support/helpers.ts";
import { PATIENCE, Program, run, start, test as it } from "../support/mqcat.ts";
import { hasMosquitto, MQTT_SERVERS, type MqttServer, tool } from "../support/mqtt_servers.ts";
import { Proxy } from "../support/rabbitmq.ts";
import { lines } from "./queue/context.ts";

const PYTHON = "/usr/bin/python3";
const hasPaho = spawnSync(PYTHON, ["-c", "import paho.mqtt"], { stdio: "ignore" }).status === 0;
const test = requirePeer("mosquitto", hasMosquitto && hasPaho, 3 * PATIENCE);

/** An RPC server: it doubles numbers, and answers the second request before the first one. */
const SERVER = `
import sys, paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
client, waiting = mqtt.Client(protocol=mqtt.MQTTv5), []
def answer(message):
    properties = mqtt.Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = message.properties.CorrelationData
    client.publish(message.properties.ResponseTopic, str(2 * int(message.payload)), qos=1, properties=properties)
def on_message(client, userdata, message):
    waiting.append(message)
    if len(waiting) == 2:
        answer(waiting.pop())
        answer(waiting.pop())
client.on_message = on_message
client.on_connect = lambda *_: client.subscribe(sys.argv[2], qos=1)
client.on_subscribe = lambda *_: print("subscribed", flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
`;

for (const [name, open] of Object.entries(MQTT_SERVERS)) {
  describe(`rpc on MQTT, ${name}`, () => {
    let opened: Promise<MqttServer> | undefined;
    const server = () => opened ??= open();
    after(async () => await (await opened)?.stop());
    const at = async (topic: string) => `mqtt://127.0.0.1:${(await server()).port}/${topic}`;
    /** Starts `rep`, and waits until it is subscribed. */
    const serve = async (address: string, ...args: string[]) => {
      using dir = tempDir();
      const rep = start(["rep", address, ...args, "--ready-file", dir.file("ready")]);
      await rep.readyEndpoint();
      return rep;
    };

    test("req - asks a server with paho, and prints the replies in order", async () => {
      const { port } = await server();
      using _server = new Program([PYTHON, "-c", SERVER, port, "double"], {}, ["paho"]);
      await _server.waitForStdout(/subscribed/);
      const { code, stdout, stderr } = await run(["req", await at("double"), "-j", "2", "-w", "20s"], {
        stdin: "1\n2\n3\n4\n",
      });
      assert.deepEqual([code, stdout.toString(), stderr], [0, "2\n4\n6\n8\n", ""]);
    });

    test("rep - answers mosquitto_rr, with its correlation data", async () => {
      using rep = await serve(await at("upper"), "--exec", "tr a-z A-Z", "-n", "1");
      const { port } = await server();
      const data = ["-D", "publish", "correlation-data", "id 7"];
      const asked = await tool(
        "rr",
        port,
        "-t",
        "upper",
        "-e",
        "back/7",
        "-m",
        "text",
        ...data,
        "-F",
        "%p %D",
      );
      assert.deepEqual([asked.code, asked.stdout.trim()], [0, "TEXT id 7"]);
      assert.deepEqual([(await rep.exit()).code, rep.stderr], [0, ""]);
    });

    test("req, rep - two workers share the requests, and each reply is in its place", async () => {
      const address = await at("shared/x");
      using one = await serve(address, "--echo");
      using two = await serve(address, "--echo");
      const asked = await run(["req", address, "-j", "20"], { stdin: lines(300) });
      assert.deepEqual([asked.code, asked.stderr, asked.stdout.toString()], [0, "", lines(300)]);
      for (const rep of [one, two]) {
        rep.kill("SIGTERM");
        assert.deepEqual([(await rep.exit()).code, rep.stderr], [143, ""]);
      }
    });

    test("req - ends with 1 and the topic when nobody is subscribed", async () => {
      const { code, stdout, stderr } = await run(["req", await at("nobody"), "-D", "x", "-w", "20s"]);
      assert.deepEqual([code, stdout.length], [1, 0], stderr);
      assert.match(stderr, /no client subscribes to 'nobody', so a request has no reply/);
    });

    test("req - every request is answered although its connection is lost meanwhile", async () => {
      await using proxy = await Proxy.to(Number((await server()).port));
      using rep = await serve(await at("lost"), "--echo");
      const address = `mqtt://127.0.0.1:${new URL(proxy.url).port}/lost`;
      using req = start(["req", address, "-j", "10", "--rate", "200"], { stdin: lines(500) });
      for (const line of [100, 300]) {
        await req.waitForStdout(new RegExp(`^line ${line}$`, "m"));
        proxy.cut();
      }
      const { code, stdout, stderr } = await req.exit();
      assert.deepEqual([code, stdout.toString()], [0, lines(500)], stderr);
      assert.match(stderr, /connecting again/);
      rep.kill("SIGKILL");
    });

    test("rep - reports a requester that is gone, and headers are kept both ways", async () => {
      const address = await at("headers");
      using rep = await serve(address, "--echo", "-n", "2");
      const { port } = await server();
      const gone = ["-D", "publish", "response-topic", "nobody/here"];
      assert.equal((await tool("pub", port, "-t", "headers", "-m", "lost", ...gone)).code, 0);
      const asked = await run([
        "req",
        address,
        "-H",
        "k=v",
        "-P",
        "content_type=text/x",
        "-D",
        "?",
        "--out",
        "json",
      ]);
      const { body, headers, properties } = JSON.parse(asked.stdout.toString());
      assert.deepEqual([body, headers, properties.content_type], ["?", { k: "v" }, "text/x"]);
      const { code, stderr } = await rep.exit();
      assert.equal(code, 0);
      assert.match(
        stderr,
        /a reply has no receiver, the requester is gone: no client subscribes to the topic/,
      );
    });
  });
}

describe("rpc on MQTT 3.1.1", () => {
  it("req, rep - refuse a server that does not speak MQTT 5.0", async () => {
    // It refuses version 5, and accepts any other login.
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (packet) => {
        const isConnect = packet[0] === 0x10;
        if (isConnect) socket.write(Uint8Array.of(0x20, 2, 0, packet[8] === 5 ? 1 : 0));
        if (isConnect && packet[8] === 5) socket.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = `mqtt://127.0.0.1:${(server.address() as net.AddressInfo).port}/x`;
    try {
      for (const args of [["req", address, "-D", "x"], ["rep", address, "--echo"]]) {
        const { code, stderr } = await run(args);
        assert.equal(code, 4, stderr);
        assert.match(stderr, /MQTT 3\.1\.1/);
      }
    } finally {
      server.close();
    }
  });
});
