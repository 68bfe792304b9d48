/** The script of pages/mqtt_page.html against a broker, with the WebSocket of the runtime and a document without content. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import { fileURLToPath } from "node:url";
import { tempDir, waitFor } from "../support/helpers.ts";
import { start, test } from "../support/mqcat.ts";
import { MqttPeer } from "../support/mqtt_peer.ts";

const PAGE = fileURLToPath(new URL("pages/mqtt_page.html", import.meta.url));

interface Page {
  subscribe(
    url: string,
    filter: string,
    onMessage: (topic: string, payload: string) => void,
    onState: (words: string) => void,
  ): WebSocket;
}

/** The functions of the page's script. */
async function load(dir: { file(name: string): string }): Promise<Page> {
  const script = /<script type="module">([^]*)<\/script>/.exec(fs.readFileSync(PAGE, "utf8"))![1]!;
  fs.writeFileSync(dir.file("page.mjs"), script);
  const document = { querySelector: () => ({ addEventListener() {} }) };
  const scope = globalThis as unknown as { document: unknown };
  scope.document = document;
  try {
    return await import(`file://${dir.file("page.mjs")}`);
  } finally {
    delete scope.document;
  }
}

describe("mqtt_page.html", () => {
  test("the page subscribes, and shows messages and refusals", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    const endpoints = ["mqtt://127.0.0.1:0", "ws://127.0.0.1:0/ws"];
    using broker = start(["queue", "serve", ...endpoints, "--memory", "--ready-file", ready]);
    await broker.readyEndpoint();
    const [mqtt, web] = fs.readFileSync(ready, "utf8").trim().split("\n");
    const { subscribe } = await load(dir);
    const messages: string[] = [];
    const states: string[] = [];
    const open = (filter: string) =>
      subscribe(web!, filter, (topic, payload) => messages.push(`${topic} ${payload}`), (words) => {
        states.push(words);
      });
    const socket = open("sensors/#");
    await waitFor(() => states.includes("Subscribed to sensors/#"));
    const sensor = await MqttPeer.open(mqtt!, "sensor");
    for (const payload of ["21.5 °C", "", "x".repeat(300_000)]) sensor.publish("sensors/7/temp", payload);
    await waitFor(() => messages.length === 3);
    assert.deepEqual(messages, ["21.5 °C", "", "x".repeat(300_000)].map((one) => `sensors/7/temp ${one}`));
    await sensor.disconnect();
    socket.close();
    await waitFor(() => states.at(-1) === "Disconnected");
    const other = open("sensors#");
    await waitFor(() => states.at(-1) === "The broker refuses the filter sensors#");
    other.close();
    await waitFor(() => states.at(-1) === "Disconnected");
  });
});
