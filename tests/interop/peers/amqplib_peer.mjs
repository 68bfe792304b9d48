// Runs the steps of amqp_round.mjs with amqplib. Usage: node amqplib_peer.mjs URL
import { Buffer } from "node:buffer";
import amqplib from "amqplib";
import { PROPERTIES, round } from "./amqp_round.mjs";

const toMessage = (raw) => ({
  raw,
  body: raw.content,
  properties: raw.properties,
  redelivered: raw.fields.redelivered,
  left: raw.fields.messageCount,
  code: raw.fields.replyCode,
  text: raw.fields.replyText,
  key: raw.fields.routingKey,
});

/** @param failure rejects when the connection fails */
function adapt(channel, confirm, failure) {
  return {
    /** Resolves to the reply code of the channel's close. */
    failure: new Promise((resolve) => channel.on("error", (error) => resolve(codeOf(error)))),
    async declare(name, { passive, ...options }) {
      const ok = passive ? await channel.checkQueue(name) : await channel.assertQueue(name, options);
      return { queue: ok.queue, messages: ok.messageCount, consumers: ok.consumerCount };
    },
    deleteQueue: async (name) => (await channel.deleteQueue(name)).messageCount,
    purge: async (name) => (await channel.purgeQueue(name)).messageCount,
    // If the connection was closed, it has the reason.
    exchange: (name, type, options) => channel.assertExchange(name, type, options).catch(() => failure),
    deleteExchange: (name) => channel.deleteExchange(name),
    bind: (to, from, key, args) => channel.bindQueue(to, from, key, args),
    unbind: (to, from, key) => channel.unbindQueue(to, from, key),
    bindExchange: (to, from, key) => channel.bindExchange(to, from, key),
    unbindExchange: (to, from, key) => channel.unbindExchange(to, from, key),
    publish: (exchange, key, body, properties = {}, mandatory = false) =>
      new Promise((resolve, reject) => {
        const settled = (error) => error ? reject(error) : resolve();
        channel.publish(exchange, key, body, { ...properties, mandatory }, confirm ? settled : undefined);
        if (!confirm) resolve();
      }),
    onReturn: (take) => channel.on("return", (raw) => take(toMessage(raw))),
    async get(name) {
      const raw = await channel.get(name);
      return raw ? toMessage(raw) : undefined;
    },
    consume: async (name, take, options = {}) =>
      (await channel.consume(name, (raw) => take(raw === null ? undefined : toMessage(raw)), options))
        .consumerTag,
    cancel: (tag) => channel.cancel(tag),
    prefetch: (count) => channel.prefetch(count),
    ack: ({ raw }, multiple) => channel.ack(raw, multiple),
    ackTag: (deliveryTag) => channel.ack({ fields: { deliveryTag } }),
    nack: ({ raw }, requeue) => channel.nack(raw, false, requeue),
    close: () => channel.close(),
  };
}

/** Returns the code, or the text if there is none: the client does not expect a close in place of an open-ok. */
function codeOf({ code, message }) {
  return code ?? (Number(/\b\d{3}\b/.exec(message)?.[0]) || message);
}

await round({
  codeOf,
  // The client does not support transactions.
  lacks: ["transaction"],
  properties: {
    ...PROPERTIES,
    headers: {
      text: "ü\u{1f600}",
      empty: "",
      byte: -5,
      short: 300,
      int: -70_000,
      long: 2 ** 40,
      double: 1.5,
      yes: true,
      nothing: null,
      bytes: Buffer.from([0, 255]),
      time: { "!": "timestamp", value: 1_700_000_000 },
      decimal: { "!": "decimal", value: { places: 2, digits: 314 } },
      list: [1, "two", { three: 3 }, []],
      table: { inner: { most: false } },
    },
  },
  async connect(url) {
    const connection = await amqplib.connect(url);
    let ended = false;
    connection.on("close", () => ended = true);
    const failure = new Promise((_, reject) => connection.on("error", reject));
    failure.catch(() => {});
    let blocked = false;
    connection.on("blocked", () => blocked = true);
    return {
      capabilities: connection.connection.serverProperties.capabilities,
      listensForBlocked: !blocked,
      async channel({ confirm = false } = {}) {
        const channel = await (confirm ? connection.createConfirmChannel() : connection.createChannel());
        return adapt(channel, confirm, failure);
      },
      close: () => connection.close(),
      abandon: async () => ended || await connection.close(),
    };
  },
});
