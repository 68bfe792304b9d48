/** The STOMP targets of the fuzzer: frames in each version, a broker with whole sessions, a client. */
import { setImmediate } from "node:timers/promises";
import { StompServer } from "../../lib/broker/stomp/server.ts";
import { Broker } from "../../lib/broker/server.ts";
import { MqcatError, UnreachableError } from "../../lib/errors.ts";
import { StompConnection } from "../../lib/stomp/client/connection.ts";
import { DeliveryReader } from "../../lib/stomp/client/delivery_reader.ts";
import { logIn } from "../../lib/stomp/client/handshake.ts";
import { parseStompAddress } from "../../lib/stomp/client/url.ts";
import { StompDecoder } from "../../lib/stomp/frame_decoder.ts";
import { StompEncoder } from "../../lib/stomp/frame_encoder.ts";
import { VERSIONS } from "../../lib/stomp/frame.ts";
import { concat, utf8 } from "../../lib/zmtp/bytes.ts";
import { type Chance, mutate } from "./mutate.ts";
import { CannedStream } from "./streams.ts";
import type { Target } from "./target.ts";

/** The limit of bodies, which changed lengths exceed, in bytes. */
const MAX_BODY = 64 * 1024;
/** The number of sessions that one broker serves before a new, empty one replaces it. */
const SESSIONS = 300;

/** A frame as a client sends it; `\0` ends it. */
function frame(head: string, body = ""): Uint8Array {
  return utf8(`${head}\n\n${body}\0\n`);
}

const CONNECT = frame(
  "CONNECT\naccept-version:1.0,1.1,1.2\nhost:/\nlogin:guest\npasscode:guest\nheart-beat:0,0",
);

/** The frames of a client after its login. Each frame may be changed, left out, or repeated. */
const TALK = [
  frame(
    "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\nprefetch-count:10\nx-max-length:5\nx-message-ttl:1000",
  ),
  frame("SUBSCRIBE\nid:1\ndestination:/topic/a.*\nack:client-individual\ndurable:true\nauto-delete:false"),
  frame("SUBSCRIBE\nid:2\ndestination:/exchange/amq.fanout"),
  frame("SEND\ndestination:/queue/a\nreceipt:1\ncontent-length:5\nx\\cy:a\\nb\\\\\\r\npriority:3", "he\0lo"),
  frame("SEND\r\ndestination:/topic/a.b\r\ncontent-type:text/plain\r\nreply-to:/temp-queue/r\r", "hello"),
  frame("BEGIN\ntransaction:tx"),
  frame(
    "SEND\ndestination:/exchange/amq.fanout/k%2Fl\ntransaction:tx\nexpiration:100\npersistent:true",
    "in tx",
  ),
  frame("ACK\nid:T_0@@session-x@@1\ntransaction:tx"),
  frame("COMMIT\ntransaction:tx\nreceipt:2"),
  frame("NACK\nid:T_1@@session-x@@2\nrequeue:false"),
  frame("ABORT\ntransaction:tx"),
  frame("UNSUBSCRIBE\nid:1\ndurable:true"),
  frame("DISCONNECT\nreceipt:bye"),
];

const frames: Target = {
  name: "STOMP frames",
  seeds: [concat([CONNECT, ...TALK]), ...TALK, frame("SEND\ndestination:a", "x".repeat(5000))],
  run(input, chance) {
    const version = chance.of(VERSIONS);
    const encoder = new StompEncoder();
    encoder.version = version;
    const decoder = new StompDecoder({
      onFrame: ({ command, headers, body, bodyStart, bodyEnd }) =>
        encoder.frame(command, headers, body.subarray(bodyStart, bodyEnd)),
    }, { maxBody: MAX_BODY });
    decoder.version = version;
    const cut = chance.below(input.length + 1);
    decoder.push(input.slice(0, cut));
    decoder.push(input.slice(cut));
  },
};

/** A session with some of its frames changed. */
function session(chance: Chance): Uint8Array {
  const parts = [...TALK];
  for (let left = 1 + chance.below(5); left > 0; left--) {
    const at = chance.below(parts.length);
    if (chance.below(3) > 0) parts[at] = mutate(parts[at]!, TALK, chance);
    else if (chance.below(2) === 0) parts.splice(at, 1);
    else parts.splice(chance.below(parts.length), 0, parts[at]!);
  }
  return concat([chance.below(5) === 0 ? mutate(CONNECT, TALK, chance) : CONNECT, ...parts]);
}

/** A broker may refuse unusual frames, but must not fail itself. */
function broker(): Target {
  let opened: { broker: Broker; server: StompServer; failures: Error[]; left: number } | undefined;
  const current = async () => {
    if (opened !== undefined && opened.left-- > 0) return opened;
    await opened?.broker.close();
    const failures: Error[] = [];
    const broker = await Broker.open({
      handshakeTimeout: 25,
      onEvent: (event) => void (event.type === "failed" && failures.push(event.error)),
    });
    return opened = { broker, server: new StompServer(broker), failures, left: SESSIONS };
  };
  return {
    name: "STOMP sessions with a broker",
    seeds: [new Uint8Array(1)],
    async run(_input, chance) {
      const { broker, server, failures } = await current();
      const input = session(chance);
      const stream = new CannedStream(input, chance.below(input.length + 1));
      let cause: Error | undefined;
      try {
        await server.serve(stream, broker.users, true);
        stream.close();
        cause = await stream.closed;
      } finally {
        stream.close();
      }
      await setImmediate();
      const foreign = cause !== undefined && !(cause instanceof MqcatError) ? cause : undefined;
      const failure = failures[0] ?? foreign;
      if (failure !== undefined) throw failure;
    },
  };
}

/** The frames of a server to a client. */
const SERVED = [
  frame("CONNECTED\nversion:1.2\nheart-beat:0,0\nserver:RabbitMQ/3.10.8\nsession:session-x"),
  frame("RECEIPT\nreceipt-id:1"),
  frame(
    "MESSAGE\nsubscription:mqcat-0\ndestination:/queue/a%2Fb\nmessage-id:T_0@@x@@1\nack:T_0@@x@@1\npriority:3\n" +
      "timestamp:1234567890\nreply-to:/reply-queue/r\npersistent:true\nx\\cy:a\\nb\ncontent-length:5",
    "he\0lo",
  ),
  frame(
    "MESSAGE\nsubscription:mqcat-0\ndestination:/exchange/x/%C3%A9\nmessage-id:2\nexpiration:soon",
    "hello",
  ),
  frame(
    "ERROR\nmessage:not_found\nsubscription:mqcat-0\nreceipt-id:1",
    "NOT_FOUND - no queue 'a' in vhost '/'",
  ),
];

const client: Target = {
  name: "STOMP client",
  seeds: [
    concat(SERVED),
    frame("ERROR\nmessage:Bad CONNECT", "Access refused for user 'guest'\n"),
    utf8("AMQP\0\0\x09\x01"),
  ],
  lanes: 8,
  async run(input, chance) {
    const [server] = parseStompAddress("stomp://guest:guest@127.0.0.1?heartbeat=0").servers;
    const reader = new DeliveryReader();
    const decoder = new StompDecoder({
      onFrame: (one) => one.command === "MESSAGE" && void reader.read(one, 1),
    }, { maxBody: MAX_BODY });
    decoder.version = "1.2";
    const stream = new CannedStream(input, chance.below(input.length + 1));
    const connection = new StompConnection(stream, await logIn(stream, server!, 1000), server!, MAX_BODY);
    decoder.push(input);
    const cause = await connection.closed;
    // The stream ends after the input.
    if (cause !== undefined && !(cause instanceof UnreachableError)) throw cause;
  },
};

export const stompTargets: readonly Target[] = [frames, broker(), client];
