/** Runs mqtt.js against a broker: `mqtt_js_peer.mjs PORT WEBSOCKET_URL`. Prints one JSON object: the messages of each step. */
import process from "node:process";
import mqtt from "mqtt";

const url = `mqtt://127.0.0.1:${process.argv[2]}`;
const steps = {};

/** Waits until `done` is true. */
async function until(done) {
  const end = Date.now() + 20_000;
  while (!done()) {
    if (Date.now() > end) throw new Error(`Waited for ${done}: ${JSON.stringify(steps)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (const protocolVersion of [4, 5]) {
  const topic = `js${protocolVersion}`;
  const session = {
    clientId: topic,
    clean: false,
    ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 1000 } } : {}),
  };
  const open = (options = {}) => mqtt.connectAsync(url, { protocolVersion, reconnectPeriod: 0, ...options });
  const live = steps[`level ${protocolVersion}, live`] = [];
  const subscriber = await open(session);
  subscriber.on("message", (topic, payload, { qos }) => live.push(`${topic} ${payload} ${qos}`));
  await subscriber.subscribeAsync(`${topic}/#`, { qos: 2 });
  const publisher = await open({ will: { topic: `${topic}/will`, payload: "w", qos: 1 } });
  for (const qos of [0, 1, 2]) await publisher.publishAsync(`${topic}/${qos}`, `m${qos}`, { qos });
  publisher.stream.destroy();
  await until(() => live.length === 4);
  live.sort();
  await subscriber.endAsync();
  const other = await open();
  for (let n = 0; n < 200; n++) await other.publishAsync(`${topic}/n`, String(n), { qos: 1 });
  await other.endAsync();
  const waited = steps[`level ${protocolVersion}, waited`] = [];
  // Messages may come as soon as it is connected.
  const again = mqtt.connect(url, { protocolVersion, ...session });
  again.on("message", (_topic, payload) => waited.push(String(payload)));
  await until(() => waited.length === 200);
  await again.endAsync();
}

const browser = await mqtt.connectAsync(process.argv[3], { protocolVersion: 5, reconnectPeriod: 0 });
const web = steps["WebSocket"] = [];
browser.on("message", (topic, payload, { qos }) => web.push(`${topic} ${String(payload).length} ${qos}`));
await browser.subscribeAsync("web/#", { qos: 2 });
await browser.publishAsync("web/a", "x".repeat(200_000), { qos: 2 });
await until(() => web.length === 1);
await browser.endAsync();

// Answers requests of mosquitto_rr until one of them was answered: the parent ends this program.
const answering = await mqtt.connectAsync(url, { protocolVersion: 5 });
answering.on("message", (_topic, payload, { properties }) => {
  const { responseTopic, correlationData } = properties;
  answering.publish(responseTopic, `re: ${payload}`, {
    qos: 1,
    properties: correlationData === undefined ? {} : { correlationData },
  });
});
await answering.subscribeAsync("ask/#", { qos: 1 });
console.log(JSON.stringify(steps));
