// Runs the steps of amqp_round.mjs with rabbitmq-client. Usage: node rabbitmq_client_peer.mjs URL
import { Connection } from "rabbitmq-client";
import { PROPERTIES, round } from "./amqp_round.mjs";

/** The client's errors have the names of the codes. */
const CODES = {
  NO_ROUTE: 312,
  ACCESS_REFUSED: 403,
  NOT_FOUND: 404,
  RESOURCE_LOCKED: 405,
  PRECONDITION_FAILED: 406,
  COMMAND_INVALID: 503,
  NOT_ALLOWED: 530,
};

const toMessage = (raw) => ({
  raw,
  body: raw.body,
  properties: raw,
  redelivered: raw.redelivered,
  left: raw.messageCount,
  code: raw.replyCode,
  text: raw.replyText,
  key: raw.routingKey,
});

function adapt(channel) {
  return {
    /** Resolves to the reply code of the channel's close. */
    failure: new Promise((resolve) => channel.on("error", (error) => resolve(codeOf(error)))),
    async declare(name, options) {
      const ok = await channel.queueDeclare({ queue: name, ...options });
      return { queue: ok.queue, messages: ok.messageCount, consumers: ok.consumerCount };
    },
    deleteQueue: async (name) => (await channel.queueDelete(name)).messageCount,
    purge: async (name) => (await channel.queuePurge(name)).messageCount,
    exchange: (name, type, options) => channel.exchangeDeclare({ exchange: name, type, ...options }),
    deleteExchange: (name) => channel.exchangeDelete({ exchange: name }),
    bind: (queue, exchange, routingKey, args) =>
      channel.queueBind({ queue, exchange, routingKey, arguments: args }),
    unbind: (queue, exchange, routingKey) => channel.queueUnbind({ queue, exchange, routingKey }),
    bindExchange: (destination, source, routingKey) =>
      channel.exchangeBind({ destination, source, routingKey }),
    unbindExchange: (destination, source, routingKey) =>
      channel.exchangeUnbind({ destination, source, routingKey }),
    publish: (exchange, routingKey, body, { persistent, ...properties } = {}, mandatory = false) =>
      channel.basicPublish({ exchange, routingKey, mandatory, durable: persistent, ...properties }, body),
    onReturn: (take) => channel.on("basic.return", (raw) => take(toMessage(raw))),
    async get(queue) {
      const raw = await channel.basicGet({ queue, noAck: false });
      return raw === undefined ? undefined : toMessage(raw);
    },
    async consume(queue, take, { noAck = false } = {}) {
      const { consumerTag } = await channel.basicConsume({ queue, noAck }, (raw) => take(toMessage(raw)));
      channel.on("basic.cancel", (tag) => tag === consumerTag && take(undefined));
      return consumerTag;
    },
    cancel: (tag) => channel.basicCancel(tag),
    prefetch: (prefetchCount) => channel.basicQos({ prefetchCount }),
    ack: ({ raw }, multiple = false) => channel.basicAck({ deliveryTag: raw.deliveryTag, multiple }),
    ackTag: (deliveryTag) => channel.basicAck({ deliveryTag }),
    nack: ({ raw }, requeue) => channel.basicNack({ deliveryTag: raw.deliveryTag, requeue }),
    txSelect: () => channel.txSelect(),
    txCommit: () => channel.txCommit(),
    txRollback: () => channel.txRollback(),
    close: () => channel.close(),
  };
}

function codeOf({ code, message }) {
  return CODES[code] ?? `${code} ${message}`;
}

await round({
  codeOf,
  // The client does not expose the server's capabilities.
  lacks: ["capabilities"],
  properties: {
    ...PROPERTIES,
    // The client encodes a Buffer as a table.
    headers: {
      text: "ü\u{1f600}",
      empty: "",
      int: -70_000,
      long: 2 ** 40,
      double: 1.5,
      yes: true,
      nothing: null,
      list: [1, "two", { three: 3 }, []],
      table: { inner: { most: false } },
    },
  },
  async connect(url) {
    const connection = new Connection({ url });
    let blocked = false;
    connection.on("connection.blocked", () => blocked = true);
    await new Promise((resolve, reject) => {
      connection.once("connection", resolve);
      connection.once("error", (error) => {
        // The client would retry forever.
        connection.unsafeDestroy();
        reject(error);
      });
    });
    connection.on("error", () => {});
    return {
      listensForBlocked: !blocked,
      async channel({ confirm = false } = {}) {
        const channel = await connection.acquire({ emitErrorsFromChannel: true });
        if (confirm) await channel.confirmSelect();
        return adapt(channel);
      },
      close: () => connection.close(),
      abandon: async () => await Promise.resolve(connection.unsafeDestroy()),
    };
  },
});
