/** `probe` against brokers of MQTT and STOMP: mosquitto, RabbitMQ's plug-ins, and ours. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import { after, describe } from "node:test";
import { requirePeer, tempDir, waitFor } from "../support/helpers.ts";
import { run, start, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";
import { rabbitMq, stopRabbitMq, test as rabbit } from "../support/rabbitmq.ts";

after(stopRabbitMq);

/** The record of `probe -J` for an endpoint that is identified, without the endpoint. */
async function probe(endpoint: string): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(["probe", "-J", "-w", "10s", endpoint]);
  assert.deepEqual([code, stderr], [0, ""], stdout.toString());
  const { endpoint: _, outcome, ...record } = JSON.parse(stdout.toString());
  assert.equal(outcome, "identified");
  return record;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

function portOf(url: string): number {
  return Number(/:(\d+)$/.exec(url)![1]);
}

describe("probe, MQTT and STOMP", () => {
  for (const anonymous of [true, false]) {
    requirePeer("mosquitto")(`mosquitto - ${anonymous ? "without" : "with"} a login`, async () => {
      using dir = tempDir();
      const port = await freePort();
      fs.writeFileSync(dir.file("conf"), `listener ${port} 127.0.0.1\nallow_anonymous ${anonymous}\n`);
      const child = spawn("mosquitto", ["-c", dir.file("conf")], { stdio: "ignore" });
      try {
        await waitFor(() => listens(port));
        assert.deepEqual(await probe(`tcp://127.0.0.1:${port}`), {
          protocol: "mqtt",
          version: "5.0",
          login: !anonymous,
          try: [`mqcat sub mqtt://${anonymous ? "" : "USER@"}127.0.0.1:${port}`],
        });
      } finally {
        const exited = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await exited;
      }
    });
  }

  test("mqcat - MQTT and STOMP, as records and as text", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    const words = ["queue", "serve", "mqtt://127.0.0.1:0", "stomp://127.0.0.1:0", "--memory"];
    using broker = start([...words, "--ready-file", ready]);
    await broker.readyEndpoint();
    const [mqtt, stomp] = fs.readFileSync(ready, "utf8").trim().split("\n");
    assert.deepEqual(await probe(mqtt!), {
      protocol: "mqtt",
      version: "5.0",
      login: false,
      try: [`mqcat sub ${mqtt}`],
    });
    const { code, stdout } = await run(["probe", "-w", "10s", stomp!]);
    assert.equal(code, 0);
    assert.match(
      stdout.toString(),
      /^tcp:\/\/\S+: a STOMP broker, mqcat\/\S+\n {2}STOMP 1\.2\n {2}needs no login\n {2}try: mqcat sub stomp:\/\/\S+\/topic\/TOPIC\n$/,
    );
  });

  test("mqcat - with a login", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    const words = ["queue", "serve", "mqtt://127.0.0.1:0", "stomp://127.0.0.1:0", "--memory"];
    using broker = start([...words, "--user", "only", "--ready-file", ready], {
      env: { AMQP_PASSWORD: "secret" },
    });
    await broker.readyEndpoint();
    const [mqtt, stomp] = fs.readFileSync(ready, "utf8").trim().split("\n");
    assert.deepEqual(await probe(mqtt!), {
      protocol: "mqtt",
      version: "5.0",
      login: true,
      try: [`mqcat sub ${mqtt!.replace("//", "//USER@")}`],
    });
    const record = await probe(stomp!);
    assert.deepEqual([record["protocol"], record["login"]], ["stomp", true]);
  });

  rabbit("RabbitMQ - its plug-ins speak MQTT 3.1.1 and STOMP 1.2", async () => {
    const { mqtt, stomp } = await rabbitMq();
    // The plug-ins may start after the HTTP API.
    for (const url of [mqtt, stomp]) if (url !== undefined) await waitFor(() => listens(portOf(url)), 30_000);
    if (mqtt !== undefined) {
      const { protocol, version, login } = await probe(mqtt);
      assert.deepEqual([protocol, version, login], ["mqtt", "3.1.1", false]);
    }
    if (stomp !== undefined) {
      const { protocol, version, server, login } = await probe(stomp);
      // Without a login the client is guest.
      assert.deepEqual([protocol, version, login], ["stomp", "1.2", false]);
      assert.match(String(server), /^RabbitMQ\/3/);
    }
  });
});
