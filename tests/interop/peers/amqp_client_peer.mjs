// Runs the steps of amqp_round.mjs with @cloudamqp/amqp-client. Usage: node amqp_client_peer.mjs URL
import { AMQPClient } from "@cloudamqp/amqp-client";
import { PROPERTIES, round } from "./amqp_round.mjs";

const toMessage = (raw) => ({
  raw,
  body: raw.body ?? new Uint8Array(),
  properties: raw.properties,
  redelivered: raw.redelivered,
  left: raw.messageCount,
  code: raw.replyCode,
  text: raw.replyText,
  key: raw.routingKey,
});

function adapt(channel) {
  return {
    /** Resolves to the reply code of the channel's close. */
    failure: new Promise((resolve) => channel.onerror = (reason) => resolve(codeOf({ message: reason }))),
    async declare(name, { arguments: args, ...options }) {
      const ok = await channel.queueDeclare(name, options, args);
      return { queue: ok.name, messages: ok.messageCount, consumers: ok.consumerCount };
    },
    deleteQueue: async (name) => (await channel.queueDelete(name)).messageCount,
    purge: async (name) => (await channel.queuePurge(name)).messageCount,
    exchange: (name, type, options) => channel.exchangeDeclare(name, type, options),
    deleteExchange: (name) => channel.exchangeDelete(name),
    bind: (to, from, key, args) => channel.queueBind(to, from, key, args),
    unbind: (to, from, key) => channel.queueUnbind(to, from, key),
    bindExchange: (to, from, key) => channel.exchangeBind(to, from, key),
    unbindExchange: (to, from, key) => channel.exchangeUnbind(to, from, key),
    publish: (exchange, key, body, { persistent, ...properties } = {}, mandatory = false) => {
      if (persistent) properties.deliveryMode = 2;
      return channel.basicPublish(exchange, key, body, properties, mandatory);
    },
    onReturn: (take) => channel.onReturn = (raw) => take(toMessage(raw)),
    async get(name) {
      const raw = await channel.basicGet(name, { noAck: false });
      return raw === null ? undefined : toMessage(raw);
    },
    async consume(name, take, { noAck = false } = {}) {
      const consumer = await channel.basicConsume(name, { noAck }, (raw) => take(toMessage(raw)));
      consumer.wait().catch(() => take(undefined));
      return consumer.tag;
    },
    cancel: (tag) => channel.basicCancel(tag),
    prefetch: (count) => channel.prefetch(count),
    ack: ({ raw }, multiple) => channel.basicAck(raw.deliveryTag, multiple),
    ackTag: (tag) => channel.basicAck(tag),
    nack: ({ raw }, requeue) => channel.basicNack(raw.deliveryTag, requeue),
    txSelect: () => channel.txSelect(),
    txCommit: () => channel.txCommit(),
    txRollback: () => channel.txRollback(),
    close: () => channel.close(),
  };
}

/** Reads the code from the error text, which ends with the code or begins with its name. */
function codeOf({ message }) {
  return Number(/\b\d{3}\b/.exec(message)?.[0]) || message;
}

await round({
  codeOf,
  // The client does not expose the server's capabilities.
  lacks: ["capabilities"],
  properties: {
    ...PROPERTIES,
    timestamp: new Date(1_700_000_000_000),
    headers: {
      text: "ü\u{1f600}",
      empty: "",
      int: -70_000,
      long: 2 ** 40,
      float: 1.5,
      double: 2 ** 40 + 0.5,
      yes: true,
      nothing: null,
      bytes: new Uint8Array([0, 255]),
      time: new Date(1_700_000_000_000),
      list: [1, "two", { three: 3 }, []],
      table: { inner: { most: false } },
    },
  },
  async connect(url) {
    const client = new AMQPClient(url, undefined, null);
    let blocked = false;
    client.onblocked = () => blocked = true;
    client.onerror = () => {};
    await client.connect();
    return {
      listensForBlocked: !blocked,
      async channel({ confirm = false } = {}) {
        const channel = await client.channel();
        if (confirm) await channel.confirmSelect();
        return adapt(channel);
      },
      close: () => client.close(),
      abandon: async () => client.closed || await client.close(),
    };
  },
});
