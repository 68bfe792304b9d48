// Uses a broker with @stomp/stompjs; prints one line of JSON for each step. Usage: node stompjs_peer.mjs HOST PORT, or
// node stompjs_peer.mjs URL for a WebSocket
import { Buffer } from "node:buffer";
import net from "node:net";
import process from "node:process";
import { Client, StompSocketState, Versions } from "@stomp/stompjs";

const STEP_MS = 20_000;
const [host, port] = process.argv.slice(2);

/** A TCP connection with the interface of a WebSocket. */
class TcpSocket {
  readyState = StompSocketState.CONNECTING;
  url = `stomp://${host}:${port}`;
  #socket = net.connect(Number(port), host);

  constructor() {
    this.#socket.on("connect", () => {
      this.readyState = StompSocketState.OPEN;
      this.onopen?.();
    });
    this.#socket.on("data", (data) => this.onmessage?.({ data: new Uint8Array(data).buffer }));
    this.#socket.on("error", (error) => this.onerror?.(error));
    this.#socket.on("close", () => {
      this.readyState = StompSocketState.CLOSED;
      this.onclose?.({ code: 1000 });
    });
  }

  send(data) {
    this.#socket.write(typeof data === "string" ? data : Buffer.from(data));
  }

  close() {
    this.readyState = StompSocketState.CLOSING;
    this.#socket.end();
  }

  terminate() {
    this.#socket.destroy();
  }
}

/** Connects; resolves to the client and its CONNECTED frame, or to the ERROR frame. */
async function connect(version = "1.2", options = {}) {
  const client = new Client({
    ...(port === undefined ? { brokerURL: host } : { webSocketFactory: () => new TcpSocket() }),
    forceBinaryWSFrames: true,
    stompVersions: new Versions([version]),
    connectHeaders: { login: "guest", passcode: "guest", host: "/" },
    reconnectDelay: 0,
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
    ...options,
  });
  const errors = [];
  const waiting = [];
  client.onStompError = (frame) => {
    errors.push(frame);
    for (const resolve of waiting.splice(0)) resolve();
  };
  const connected = await new Promise((resolve) => {
    waiting.push(() => resolve(undefined));
    client.onConnect = resolve;
    client.activate();
  });
  /** Waits for the next ERROR frame. */
  const error = async () => {
    while (errors.length === 0) await new Promise((resolve) => waiting.push(resolve));
    return errors[0];
  };
  return { client, connected, error };
}

/** Subscribes; `next` returns the next message. */
function subscribe(client, destination, headers = {}) {
  const messages = [];
  let wake = () => {};
  client.subscribe(destination, (message) => {
    messages.push(message);
    wake();
  }, headers);
  return async () => {
    while (messages.length === 0) await new Promise((resolve) => wake = resolve);
    return messages.shift();
  };
}

/** Publishes and waits for the receipt. */
function publish(client, options, receipt) {
  return new Promise((resolve) => {
    client.watchForReceipt(receipt, () => resolve());
    client.publish({ ...options, headers: { ...options.headers, receipt } });
  });
}

async function step(name, work) {
  let timer;
  const late = new Promise((_, reject) => timer = setTimeout(() => reject(new Error("too late")), STEP_MS));
  let saw;
  try {
    saw = await Promise.race([work(), late]);
  } catch (error) {
    saw = { error: String(error?.stack ?? error) };
  }
  clearTimeout(timer);
  console.log(JSON.stringify([name, saw]));
}

await step("versions", async () => {
  const saw = [];
  for (const version of ["1.0", "1.1", "1.2"]) {
    const { client, connected } = await connect(version);
    saw.push(connected.headers.version);
    await client.deactivate();
  }
  return saw;
});

await step("wrong password", async () => {
  const { client, error } = await connect("1.2", { connectHeaders: { login: "guest", passcode: "no" } });
  const { headers } = await error();
  await client.deactivate();
  return headers.message;
});

for (const version of ["1.1", "1.2"]) {
  await step(`headers ${version}`, async () => {
    const { client } = await connect(version);
    const destination = `/queue/js.headers.${version}`;
    const next = subscribe(client, destination);
    // stompjs escapes only in 1.2, only values, and does not restore a backslash before a letter of an escape.
    const escaped = version === "1.2" ? { colon: "c:d", lines: "1\n2", back: "a\\b" } : {};
    const headers = { ...escaped, accent: "é", priority: "3" };
    client.publish({ destination, body: "hello é", headers: { ...headers, "content-type": "text/plain" } });
    const message = await next();
    await client.deactivate();
    const same = Object.entries(headers).filter(([name, value]) => message.headers[name] !== value);
    return [same, message.headers["content-type"], message.headers.destination, message.body];
  });
}

await step("acknowledge", async () => {
  const { client } = await connect();
  const destination = "/queue/js.ack";
  const next = subscribe(client, destination, { ack: "client-individual" });
  for (const body of ["a", "b", "c"]) await publish(client, { destination, body }, `r-${body}`);
  const messages = [await next(), await next(), await next()];
  messages[1].ack();
  messages[2].nack({ requeue: "false" });
  await client.deactivate();
  const { client: other } = await connect();
  const again = await subscribe(other, destination)();
  await other.deactivate();
  return [again.body, again.headers.redelivered];
});

await step("transaction", async () => {
  const { client } = await connect();
  const destination = "/topic/js.tx";
  const next = subscribe(client, destination);
  const commit = client.begin();
  client.publish({ destination, body: "1", headers: { transaction: commit.id } });
  commit.commit();
  const abort = client.begin();
  client.publish({ destination, body: "lost", headers: { transaction: abort.id } });
  abort.abort();
  client.publish({ destination, body: "2" });
  const bodies = [(await next()).body, (await next()).body];
  await client.deactivate();
  return bodies;
});

await step("binary", async () => {
  const { client } = await connect("1.2", { heartbeatIncoming: 1000, heartbeatOutgoing: 1000 });
  const destination = "/queue/js.binary";
  const next = subscribe(client, destination);
  const body = Uint8Array.from({ length: 300_000 }, (_, i) => i % 256);
  client.publish({ destination, binaryBody: body, headers: { "content-type": "application/octet-stream" } });
  const message = await next();
  await client.deactivate();
  return Buffer.from(message.binaryBody).equals(body);
});

await step("error", async () => {
  const { client, error } = await connect();
  client.publish({ destination: "/unknown/x", body: "" });
  const { headers } = await error();
  await client.deactivate();
  return headers.message;
});
