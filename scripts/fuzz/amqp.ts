/** The AMQP targets of the fuzzer: the codecs, a broker with whole sessions, a client with a server's login. */
import { setImmediate } from "node:timers/promises";
import { handshake } from "../../lib/amqp/client/handshake.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { PROTOCOL_HEADER } from "../../lib/amqp/frames/frame.ts";
import { FrameDecoder } from "../../lib/amqp/frames/frame_decoder.ts";
import { FrameEncoder } from "../../lib/amqp/frames/frame_encoder.ts";
import type { GivenArgs, MethodName } from "../../lib/amqp/method_args.ts";
import { decodeMethod } from "../../lib/amqp/method_codec.ts";
import { decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { decodeTable, encodeTable } from "../../lib/amqp/types/table.ts";
import { Broker } from "../../lib/broker/server.ts";
import { MqcatError } from "../../lib/errors.ts";
import { connectInproc } from "../../lib/transport/schemes/inproc.ts";
import { concat, utf8 } from "../../lib/zmtp/bytes.ts";
import { type Chance, mutate } from "./mutate.ts";
import { CannedStream } from "./streams.ts";
import type { Target } from "./target.ts";

/** The number of sessions that one broker serves before a new, empty one replaces it. */
const SESSIONS = 300;
/** The number of event loop turns until a chunk is read and answered. */
const TURNS = 20;

/** The frames that `write` encodes. */
function frames(write: (encoder: FrameEncoder) => void): Uint8Array {
  const encoder = new FrameEncoder();
  write(encoder);
  return encoder.out.take().slice();
}

function method<Name extends MethodName>(channel: number, name: Name, args: GivenArgs<Name>): Uint8Array {
  return frames((encoder) => encoder.method(channel, name, args));
}

/** The payload of the only frame in `frame`. */
function payload(frame: Uint8Array): Uint8Array {
  return frame.subarray(7, -1);
}

const LOGIN = [
  PROTOCOL_HEADER,
  method(0, "connection.start-ok", {
    clientProperties: { product: "fuzz", capabilities: { "basic.nack": true, publisher_confirms: true } },
    mechanism: "PLAIN",
    response: utf8("\0guest\0guest"),
    locale: "en_US",
  }),
  method(0, "connection.tune-ok", { channelMax: 100, frameMax: 8192, heartbeat: 0 }),
  method(0, "connection.open", { virtualHost: "/" }),
  method(1, "channel.open", {}),
];

/** The frames of a client after its login. Each frame may be changed, left out, or repeated. */
const TALK = [
  method(1, "exchange.declare", { exchange: "x", type: "topic", autoDelete: true }),
  method(1, "exchange.declare", { exchange: "y", type: "headers", arguments: { "alternate-exchange": "x" } }),
  method(1, "queue.declare", {
    queue: "q",
    arguments: {
      "x-max-length": 3,
      "x-overflow": "reject-publish",
      "x-dead-letter-exchange": "x",
      "x-max-priority": 4,
    },
  }),
  method(1, "queue.declare", {
    queue: "",
    exclusive: true,
    arguments: { "x-message-ttl": 100, "x-expires": 5000 },
  }),
  method(1, "queue.bind", { queue: "q", exchange: "x", routingKey: "a.*.#" }),
  method(1, "queue.bind", { queue: "q", exchange: "y", arguments: { "x-match": "any", k: 1 } }),
  method(1, "exchange.bind", { destination: "y", source: "x", routingKey: "#" }),
  method(1, "confirm.select", {}),
  method(1, "basic.qos", { prefetchCount: 2 }),
  method(1, "basic.consume", { queue: "q", consumerTag: "c", arguments: { "x-priority": 5 } }),
  ...[1, 2, 3].map((priority) =>
    frames((encoder) =>
      encoder.publish(
        1,
        "x",
        "a.b",
        true,
        { priority, expiration: "50", headers: { k: 1, CC: ["q"] } },
        utf8("body"),
      )
    )
  ),
  frames((encoder) => encoder.publish(1, "", "q", false, { deliveryMode: 2 }, new Uint8Array(9000))),
  method(1, "basic.get", { queue: "q" }),
  frames((encoder) => encoder.ack(1, 1, true)),
  frames((encoder) => encoder.nack(1, 2, false, true)),
  method(1, "basic.reject", { deliveryTag: 3, requeue: false }),
  method(1, "basic.recover", { requeue: true }),
  method(1, "basic.cancel", { consumerTag: "c" }),
  method(2, "channel.open", {}),
  method(2, "tx.select", {}),
  frames((encoder) => encoder.publish(2, "amq.fanout", "", false, {}, utf8("in a transaction"))),
  method(2, "tx.rollback", {}),
  frames((encoder) => encoder.heartbeat()),
  method(1, "queue.unbind", { queue: "q", exchange: "x", routingKey: "a.*.#" }),
  method(1, "queue.purge", { queue: "q" }),
  method(1, "queue.delete", { queue: "q", ifUnused: true }),
  method(1, "exchange.delete", { exchange: "x" }),
  method(2, "channel.close", { replyCode: 200, replyText: "bye", classId: 0, methodId: 0 }),
  method(0, "connection.close", { replyCode: 200, replyText: "bye", classId: 0, methodId: 0 }),
];

/** A session of a client with some of its frames changed, as the chunks in which it is sent. */
function session(chance: Chance): Uint8Array[] {
  // The login is usually not changed, because few frames after a broken login are processed.
  const spoilt = chance.below(5) === 0;
  const parts = spoilt ? [...LOGIN, ...TALK] : [...TALK];
  for (let left = 1 + chance.below(5); left > 0; left--) {
    const at = chance.below(parts.length);
    switch (chance.below(4)) {
      case 0:
        parts[at] = mutate(parts[at]!, TALK, chance);
        break;
      case 1:
        parts.splice(at, 1 + chance.below(3));
        break;
      case 2:
        parts.splice(chance.below(parts.length), 0, parts[at]!);
        break;
      default: // Changes only the payload, so that the frame keeps its declared length.
        parts[at] = reframed(parts[at]!, chance);
    }
  }
  const bytes = concat(parts);
  const cut = chance.below(bytes.length);
  return [...(spoilt ? [] : [concat(LOGIN)]), bytes.slice(0, cut), bytes.slice(cut)].filter(({ length }) =>
    length > 0
  );
}

function reframed(frame: Uint8Array, chance: Chance): Uint8Array {
  if (frame.length < 8) return frame;
  const changed = mutate(payload(frame), TALK.map(payload), chance).subarray(0, 8000);
  const head = frame.slice(0, 7);
  new DataView(head.buffer).setUint32(3, changed.length);
  return concat([head, changed, Uint8Array.of(0xce)]);
}

/** A broker may refuse unusual frames, but must not fail itself. */
function broker(): Target {
  let opened: { broker: Broker; name: string; failures: Error[]; left: number } | undefined;
  let names = 0;
  const current = async () => {
    if (opened !== undefined && opened.left-- > 0) return opened;
    await opened?.broker.close();
    const failures: Error[] = [];
    const broker = await Broker.open({
      onEvent(event) {
        const foreign = "error" in event && event.error !== undefined && !(event.error instanceof MqcatError);
        if (event.type === "failed" || foreign) failures.push((event as { error: Error }).error);
      },
    });
    const name = `fuzz-broker-${++names}`;
    await broker.listen(`inproc://${name}`);
    return opened = { broker, name, failures, left: SESSIONS };
  };
  return {
    name: "AMQP sessions with a broker",
    seeds: [new Uint8Array(1)],
    async run(_input, chance) {
      const { name, failures } = await current();
      const stream = await connectInproc(name, AbortSignal.timeout(1000));
      let open = true;
      stream.closed.then(() => open = false);
      stream.attach({ onData() {}, onEnd: () => stream.close(), onDrain() {} });
      for (const piece of session(chance)) {
        if (open) stream.write(piece);
        // Without further requests a broker has sent all its replies after a few turns of the event loop.
        for (let turns = 0; open && turns < TURNS; turns++) await setImmediate();
      }
      stream.end();
      await stream.closed;
      await setImmediate();
      if (failures.length > 0) throw failures[0];
    },
  };
}

const server = [
  method(0, "connection.start", {
    versionMajor: 0,
    versionMinor: 9,
    serverProperties: { product: "RabbitMQ", version: "3.10.8", capabilities: { "basic.nack": true } },
    mechanisms: utf8("AMQPLAIN PLAIN"),
    locales: utf8("en_US"),
  }),
  method(0, "connection.tune", { channelMax: 2047, frameMax: 131072, heartbeat: 60 }),
  method(0, "connection.open-ok", {}),
];
const refusal = method(0, "connection.close", {
  replyCode: 403,
  replyText: "ACCESS_REFUSED",
  classId: 0,
  methodId: 0,
});

const client: Target = {
  name: "AMQP login of a client",
  seeds: [concat(server), concat([server[0]!, refusal]), PROTOCOL_HEADER],
  lanes: 8,
  async run(input, chance) {
    const [broker] = parseAmqpUrl("amqp://guest:guest@127.0.0.1");
    await handshake(new CannedStream(input, chance.below(input.length + 1)), broker!, 1000);
  },
};

const codecs: Target[] = [
  {
    name: "AMQP frames",
    seeds: [concat([...LOGIN, ...TALK]), PROTOCOL_HEADER, concat(server)],
    run(input, chance) {
      const decoder = new FrameDecoder(chance.of(["client", "server"]), {
        onProtocolHeader() {},
        onFrame() {},
      });
      const cut = chance.below(input.length + 1);
      decoder.push(input.slice(0, cut));
      decoder.push(input.slice(cut));
    },
  },
  {
    name: "AMQP methods",
    seeds: [...TALK, ...server, ...LOGIN.slice(1)].map(payload),
    run: (input) => void decodeMethod(input, 0, input.length),
  },
  {
    name: "AMQP tables",
    seeds: [
      encodeTable({ a: 1, b: "text", c: true, d: { e: [1, "x", null] }, f: new Uint8Array(3), g: 1.5 }),
      encodeTable({}),
    ],
    run: (input) => void decodeTable(input),
  },
  {
    name: "AMQP properties",
    seeds: [
      encodeProperties({ contentType: "text/plain", headers: { h: 1 }, deliveryMode: 2, messageId: "7" }),
      encodeProperties({}),
    ],
    run: (input) => void decodeProperties(input, 0, input.length),
  },
];

export const amqpTargets: readonly Target[] = [...codecs, client, broker()];
