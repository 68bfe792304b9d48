/**
 * The methods of AMQP 0-9-1 with RabbitMQ's extensions, as data. The types of their arguments (`MethodArgs`), their
 * codec and the tests against the specification's XML are all derived from this table.
 */

/** Types of method arguments (AMQP 0-9-1, 4.2.5); consecutive bits share octets, lowest bit first. */
export type FieldType = "bit" | "octet" | "short" | "long" | "longlong" | "shortstr" | "longstr" | "table";

/** One method. */
export interface MethodSpec {
  /** The class id in the upper 16 bits, the method id in the lower. */
  readonly id: number;
  /** In the order of the wire. A field whose name begins with `reserved` is sent as zero and ignored when received. */
  readonly fields: readonly (readonly [name: string, type: FieldType])[];
  /** The names of the replies, for a synchronous method. */
  readonly replies?: readonly string[];
  /** Whether a content header and a body follow. */
  readonly content?: true;
}

const id = (classId: number, methodId: number) => classId << 16 | methodId;

const TICKET = ["reserved1", "short"] as const;
const NO_WAIT = ["noWait", "bit"] as const;
const ARGUMENTS = ["arguments", "table"] as const;
const EXCHANGE = ["exchange", "shortstr"] as const;
const QUEUE = ["queue", "shortstr"] as const;
const ROUTING_KEY = ["routingKey", "shortstr"] as const;
const CONSUMER_TAG = ["consumerTag", "shortstr"] as const;
const DELIVERY_TAG = ["deliveryTag", "longlong"] as const;
const MESSAGE_COUNT = ["messageCount", "long"] as const;
const TUNING = [["channelMax", "short"], ["frameMax", "long"], ["heartbeat", "short"]] as const;
const CLOSING = [
  ["replyCode", "short"],
  ["replyText", "shortstr"],
  ["classId", "short"],
  ["methodId", "short"],
] as const;
const EXCHANGE_BINDING = [
  TICKET,
  ["destination", "shortstr"],
  ["source", "shortstr"],
  ROUTING_KEY,
  NO_WAIT,
  ARGUMENTS,
] as const;

/** Every method by its name in the specification. */
export const METHODS = {
  "connection.start": {
    id: id(10, 10),
    fields: [
      ["versionMajor", "octet"],
      ["versionMinor", "octet"],
      ["serverProperties", "table"],
      ["mechanisms", "longstr"],
      ["locales", "longstr"],
    ],
    replies: ["connection.start-ok"],
  },
  "connection.start-ok": {
    id: id(10, 11),
    fields: [
      ["clientProperties", "table"],
      ["mechanism", "shortstr"],
      ["response", "longstr"],
      ["locale", "shortstr"],
    ],
  },
  "connection.secure": {
    id: id(10, 20),
    fields: [["challenge", "longstr"]],
    replies: ["connection.secure-ok"],
  },
  "connection.secure-ok": { id: id(10, 21), fields: [["response", "longstr"]] },
  "connection.tune": { id: id(10, 30), fields: TUNING, replies: ["connection.tune-ok"] },
  "connection.tune-ok": { id: id(10, 31), fields: TUNING },
  "connection.open": {
    id: id(10, 40),
    fields: [["virtualHost", "shortstr"], ["reserved1", "shortstr"], ["reserved2", "bit"]],
    replies: ["connection.open-ok"],
  },
  "connection.open-ok": { id: id(10, 41), fields: [["reserved1", "shortstr"]] },
  "connection.close": { id: id(10, 50), fields: CLOSING, replies: ["connection.close-ok"] },
  "connection.close-ok": { id: id(10, 51), fields: [] },
  // RabbitMQ's extensions: blocked connections, and renewed tokens.
  "connection.blocked": { id: id(10, 60), fields: [["reason", "shortstr"]] },
  "connection.unblocked": { id: id(10, 61), fields: [] },
  "connection.update-secret": {
    id: id(10, 70),
    fields: [["newSecret", "longstr"], ["reason", "shortstr"]],
    replies: ["connection.update-secret-ok"],
  },
  "connection.update-secret-ok": { id: id(10, 71), fields: [] },

  "channel.open": { id: id(20, 10), fields: [["reserved1", "shortstr"]], replies: ["channel.open-ok"] },
  "channel.open-ok": { id: id(20, 11), fields: [["reserved1", "longstr"]] },
  "channel.flow": { id: id(20, 20), fields: [["active", "bit"]], replies: ["channel.flow-ok"] },
  "channel.flow-ok": { id: id(20, 21), fields: [["active", "bit"]] },
  "channel.close": { id: id(20, 40), fields: CLOSING, replies: ["channel.close-ok"] },
  "channel.close-ok": { id: id(20, 41), fields: [] },

  // From AMQP 0-8; some clients still send it, and RabbitMQ always grants it.
  "access.request": {
    id: id(30, 10),
    fields: [
      ["realm", "shortstr"],
      ["exclusive", "bit"],
      ["passive", "bit"],
      ["active", "bit"],
      ["write", "bit"],
      ["read", "bit"],
    ],
    replies: ["access.request-ok"],
  },
  "access.request-ok": { id: id(30, 11), fields: [["ticket", "short"]] },

  "exchange.declare": {
    id: id(40, 10),
    fields: [
      TICKET,
      EXCHANGE,
      ["type", "shortstr"],
      ["passive", "bit"],
      ["durable", "bit"],
      ["autoDelete", "bit"],
      ["internal", "bit"],
      NO_WAIT,
      ARGUMENTS,
    ],
    replies: ["exchange.declare-ok"],
  },
  "exchange.declare-ok": { id: id(40, 11), fields: [] },
  "exchange.delete": {
    id: id(40, 20),
    fields: [TICKET, EXCHANGE, ["ifUnused", "bit"], NO_WAIT],
    replies: ["exchange.delete-ok"],
  },
  "exchange.delete-ok": { id: id(40, 21), fields: [] },
  "exchange.bind": { id: id(40, 30), fields: EXCHANGE_BINDING, replies: ["exchange.bind-ok"] },
  "exchange.bind-ok": { id: id(40, 31), fields: [] },
  "exchange.unbind": { id: id(40, 40), fields: EXCHANGE_BINDING, replies: ["exchange.unbind-ok"] },
  // 51, not 41: an exception to the numbering of replies.
  "exchange.unbind-ok": { id: id(40, 51), fields: [] },

  "queue.declare": {
    id: id(50, 10),
    fields: [
      TICKET,
      QUEUE,
      ["passive", "bit"],
      ["durable", "bit"],
      ["exclusive", "bit"],
      ["autoDelete", "bit"],
      NO_WAIT,
      ARGUMENTS,
    ],
    replies: ["queue.declare-ok"],
  },
  "queue.declare-ok": { id: id(50, 11), fields: [QUEUE, MESSAGE_COUNT, ["consumerCount", "long"]] },
  "queue.bind": {
    id: id(50, 20),
    fields: [TICKET, QUEUE, EXCHANGE, ROUTING_KEY, NO_WAIT, ARGUMENTS],
    replies: ["queue.bind-ok"],
  },
  "queue.bind-ok": { id: id(50, 21), fields: [] },
  "queue.purge": { id: id(50, 30), fields: [TICKET, QUEUE, NO_WAIT], replies: ["queue.purge-ok"] },
  "queue.purge-ok": { id: id(50, 31), fields: [MESSAGE_COUNT] },
  "queue.delete": {
    id: id(50, 40),
    fields: [TICKET, QUEUE, ["ifUnused", "bit"], ["ifEmpty", "bit"], NO_WAIT],
    replies: ["queue.delete-ok"],
  },
  "queue.delete-ok": { id: id(50, 41), fields: [MESSAGE_COUNT] },
  "queue.unbind": {
    id: id(50, 50),
    fields: [TICKET, QUEUE, EXCHANGE, ROUTING_KEY, ARGUMENTS],
    replies: ["queue.unbind-ok"],
  },
  "queue.unbind-ok": { id: id(50, 51), fields: [] },

  "basic.qos": {
    id: id(60, 10),
    fields: [["prefetchSize", "long"], ["prefetchCount", "short"], ["global", "bit"]],
    replies: ["basic.qos-ok"],
  },
  "basic.qos-ok": { id: id(60, 11), fields: [] },
  "basic.consume": {
    id: id(60, 20),
    fields: [
      TICKET,
      QUEUE,
      CONSUMER_TAG,
      ["noLocal", "bit"],
      ["noAck", "bit"],
      ["exclusive", "bit"],
      NO_WAIT,
      ARGUMENTS,
    ],
    replies: ["basic.consume-ok"],
  },
  "basic.consume-ok": { id: id(60, 21), fields: [CONSUMER_TAG] },
  "basic.cancel": { id: id(60, 30), fields: [CONSUMER_TAG, NO_WAIT], replies: ["basic.cancel-ok"] },
  "basic.cancel-ok": { id: id(60, 31), fields: [CONSUMER_TAG] },
  "basic.publish": {
    id: id(60, 40),
    fields: [TICKET, EXCHANGE, ROUTING_KEY, ["mandatory", "bit"], ["immediate", "bit"]],
    content: true,
  },
  "basic.return": {
    id: id(60, 50),
    fields: [["replyCode", "short"], ["replyText", "shortstr"], EXCHANGE, ROUTING_KEY],
    content: true,
  },
  "basic.deliver": {
    id: id(60, 60),
    fields: [CONSUMER_TAG, DELIVERY_TAG, ["redelivered", "bit"], EXCHANGE, ROUTING_KEY],
    content: true,
  },
  "basic.get": {
    id: id(60, 70),
    fields: [TICKET, QUEUE, ["noAck", "bit"]],
    replies: ["basic.get-ok", "basic.get-empty"],
  },
  "basic.get-ok": {
    id: id(60, 71),
    fields: [DELIVERY_TAG, ["redelivered", "bit"], EXCHANGE, ROUTING_KEY, MESSAGE_COUNT],
    content: true,
  },
  "basic.get-empty": { id: id(60, 72), fields: [["reserved1", "shortstr"]] },
  "basic.ack": { id: id(60, 80), fields: [DELIVERY_TAG, ["multiple", "bit"]] },
  "basic.reject": { id: id(60, 90), fields: [DELIVERY_TAG, ["requeue", "bit"]] },
  "basic.recover-async": { id: id(60, 100), fields: [["requeue", "bit"]] },
  "basic.recover": { id: id(60, 110), fields: [["requeue", "bit"]], replies: ["basic.recover-ok"] },
  "basic.recover-ok": { id: id(60, 111), fields: [] },
  "basic.nack": { id: id(60, 120), fields: [DELIVERY_TAG, ["multiple", "bit"], ["requeue", "bit"]] },

  // RabbitMQ's publisher confirms.
  "confirm.select": { id: id(85, 10), fields: [NO_WAIT], replies: ["confirm.select-ok"] },
  "confirm.select-ok": { id: id(85, 11), fields: [] },

  "tx.select": { id: id(90, 10), fields: [], replies: ["tx.select-ok"] },
  "tx.select-ok": { id: id(90, 11), fields: [] },
  "tx.commit": { id: id(90, 20), fields: [], replies: ["tx.commit-ok"] },
  "tx.commit-ok": { id: id(90, 21), fields: [] },
  "tx.rollback": { id: id(90, 30), fields: [], replies: ["tx.rollback-ok"] },
  "tx.rollback-ok": { id: id(90, 31), fields: [] },
} as const satisfies Record<string, MethodSpec>;

/** Ids of the methods with fast paths, as `readMethodId` returns them. */
export const BASIC_PUBLISH: number = METHODS["basic.publish"].id;
export const BASIC_DELIVER: number = METHODS["basic.deliver"].id;
export const BASIC_GET_OK: number = METHODS["basic.get-ok"].id;
export const BASIC_RETURN: number = METHODS["basic.return"].id;
export const BASIC_ACK: number = METHODS["basic.ack"].id;
export const BASIC_NACK: number = METHODS["basic.nack"].id;
export const BASIC_REJECT: number = METHODS["basic.reject"].id;
/** The class of all methods with content. */
export const BASIC_CLASS = 60;
