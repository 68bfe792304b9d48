/** Recorded conversations of the protocols, and the lines that describe them. */
import { Buffer } from "node:buffer";
import { type GivenArgs, type MethodName } from "../../lib/amqp/method_args.ts";
import { sizeofMethod, writeMethod } from "../../lib/amqp/method_codec.ts";
import { encodeProperties } from "../../lib/amqp/properties.ts";
import type { Direction } from "../../lib/wire/describer.ts";
import type { ByteStream } from "../../lib/transport/stream.ts";
import { WireTap } from "../../lib/wire/wire_tap.ts";

/** Bytes in one direction. */
export type Event = readonly [direction: Direction, bytes: Uint8Array];

/** The secret in all conversations. */
export const SECRET = "s3cret";

/** What a tap prints about a conversation, without the address of the peer. */
export function describeEvents(events: Iterable<Event>, subprotocol?: string): string[] {
  const lines: string[] = [];
  const stream = { remote: "tcp://peer:1", ...(subprotocol === undefined ? {} : { subprotocol }) };
  const tap = new WireTap(stream as unknown as ByteStream, (line) => lines.push(line.replace(" peer:1", "")));
  for (const [direction, bytes] of events) {
    if (direction === "->") tap.onSent(bytes);
    else tap.onReceived(bytes);
  }
  return lines;
}

/** One byte for each character. */
export function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

function amqpFrame(type: number, channel: number, payload: Uint8Array): Uint8Array {
  const head = Buffer.alloc(7);
  head.writeUInt8(type);
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return new Uint8Array(Buffer.concat([head, payload, Buffer.of(0xce)]));
}

function method<N extends MethodName>(channel: number, name: N, args: GivenArgs<N>): Uint8Array {
  const payload = new Uint8Array(sizeofMethod(name, args));
  writeMethod(name, args, payload, 0);
  return amqpFrame(1, channel, payload);
}

/** A content header of `size` bytes of body. */
function header(channel: number, size: number): Uint8Array {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt16BE(60);
  fixed.writeUInt32BE(size, 8);
  const properties = encodeProperties({ deliveryMode: 2, headers: { "api-token": SECRET, big: 2n ** 40n } });
  return amqpFrame(2, channel, new Uint8Array(Buffer.concat([fixed, properties])));
}

const greeting = (mechanism: string, server: boolean) =>
  bytes(
    `\xff${"\0".repeat(7)}\x01\x7f\x03\x01${mechanism.padEnd(20, "\0")}${server ? "\x01" : "\0"}`.padEnd(
      64,
      "\0",
    ),
  );
/** A command of ZMTP; its data has less than 200 bytes. */
const command = (name: string, data: string) =>
  bytes(`\x04${String.fromCharCode(1 + name.length + data.length, name.length)}${name}${data}`);

/** Each conversation, and its description. */
export const CONVERSATIONS: readonly {
  readonly name: string;
  readonly events: readonly Event[];
  readonly lines: readonly string[];
  readonly subprotocol?: string;
}[] = [
  {
    name: "ZMTP with PLAIN",
    events: [
      ["->", greeting("PLAIN", false)],
      ["<-", greeting("PLAIN", true)],
      ["->", command("HELLO", `\x04jane\x06${SECRET}`)],
      ["<-", command("WELCOME", "")],
      ["->", command("INITIATE", "\x0bSocket-Type\0\0\0\x04PUSH\x08Identity\0\0\0\x02\0\xff")],
      ["<-", command("READY", "\x0bSocket-Type\0\0\0\x04PULL")],
      ["->", bytes("\x00\x05hello\x01\x01a\x01\x00")],
      ["<-", command("PING", "\0\x0actx")],
      ["->", bytes("\x00\x01\x22")],
      ["->", command("SUBSCRIBE", "news")],
      ["<-", command("ERROR", "\x04gone")],
    ],
    lines: [
      "-> ZMTP greeting 3.1 PLAIN",
      "<- ZMTP greeting 3.1 PLAIN as server",
      '-> ZMTP HELLO username="jane" password=(hidden)',
      "<- ZMTP WELCOME 0 bytes",
      '-> ZMTP INITIATE Socket-Type=PUSH Identity="\\x00\\xff"',
      "<- ZMTP READY Socket-Type=PULL",
      '-> ZMTP message 1 frame 5 bytes "hello"',
      "<- ZMTP PING ttl=1000ms",
      '-> ZMTP message 3 frames 2 bytes "a" "" "\\""',
      '-> ZMTP SUBSCRIBE "news"',
      '<- ZMTP ERROR "gone"',
    ],
  },
  {
    name: "ZMTP with CURVE",
    events: [
      ["->", greeting("CURVE", false)],
      ["<-", greeting("CURVE", true)],
      ["->", command("HELLO", `\x01\0${SECRET}`)],
      ["->", bytes(`\x00\x10\x07MESSAGE${SECRET}xy`)],
    ],
    lines: [
      "-> ZMTP greeting 3.1 CURVE",
      "<- ZMTP greeting 3.1 CURVE as server",
      "-> ZMTP HELLO 14 bytes",
      "-> ZMTP MESSAGE 16 bytes",
    ],
  },
  {
    name: "ZMTP 2.0",
    events: [
      ["->", bytes(`\xff${"\0".repeat(7)}\x01\x7f\x03`)],
      ["<-", bytes(`\xff${"\0".repeat(7)}\x01\x7f\x01\x08\x00\x02id`)],
      ["->", bytes("\x07\x00\x00\x00\x02ok")],
    ],
    lines: [
      "<- ZMTP greeting 2.0 PUSH",
      '<- ZMTP identity 2 bytes "id"',
      "-> ZMTP greeting 2.0 PULL",
      "-> ZMTP identity 0 bytes",
      '-> ZMTP message 1 frame 2 bytes "ok"',
    ],
  },
  {
    name: "ZMTP in a WebSocket",
    subprotocol: "ZWS2.0/NULL",
    events: [["->", command("READY", "")], ["<-", bytes("\x00\x02hi")]],
    lines: ["-> ZMTP READY", '<- ZMTP message 1 frame 2 bytes "hi"'],
  },
  {
    name: "AMQP",
    events: [
      ["->", bytes("AMQP\x00\x00\x09\x01")],
      ["<-", method(0, "connection.secure", { challenge: bytes(SECRET) })],
      [
        "->",
        method(0, "connection.start-ok", {
          clientProperties: { product: "x", nested: { password: SECRET } },
          mechanism: "PLAIN",
          response: bytes(`\0guest\0${SECRET}`),
          locale: "en_US",
        }),
      ],
      [
        "->",
        method(0, "connection.start-ok", {
          clientProperties: {},
          mechanism: "AMQPLAIN",
          response: bytes(`\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x06${SECRET}`),
          locale: "en_US",
        }),
      ],
      ["->", method(0, "connection.secure-ok", { response: bytes(SECRET) })],
      ["->", method(0, "connection.update-secret", { newSecret: bytes(SECRET), reason: "renewed" })],
      ["->", method(1, "basic.publish", { exchange: "", routingKey: "jobs", mandatory: true })],
      ["->", header(1, 40)],
      ["->", amqpFrame(3, 1, bytes("0123456789".repeat(4)))],
      ["<-", method(1, "basic.ack", { deliveryTag: 3 })],
      ["<-", amqpFrame(8, 0, bytes(""))],
      ["<-", amqpFrame(1, 1, bytes("\0\x3c\0\x50\0"))],
      ["<-", amqpFrame(1, 1, bytes("\xff\x3c\0\x50\0"))],
    ],
    lines: [
      "-> AMQP protocol header 0-9-1",
      "<- AMQP connection.secure challenge=(hidden)",
      '-> AMQP connection.start-ok client_properties={"product":"x","nested":{"password":"(hidden)"}} ' +
      'mechanism="PLAIN" response=(hidden) locale="en_US"',
      '-> AMQP connection.start-ok mechanism="AMQPLAIN" response=(hidden) locale="en_US"',
      "-> AMQP connection.secure-ok response=(hidden)",
      '-> AMQP connection.update-secret new_secret=(hidden) reason="renewed"',
      '-> AMQP basic.publish ch=1 exchange="" routing_key="jobs" mandatory',
      '-> AMQP content header ch=1 body_size=40 headers={"api-token":"(hidden)","big":"1099511627776"} delivery_mode=2',
      '-> AMQP content body ch=1 40 bytes "01234567890123456789012345678901"…',
      "<- AMQP basic.ack ch=1 delivery_tag=3",
      "<- AMQP heartbeat",
      "<- AMQP basic.ack ch=1 5 bytes (malformed: FRAME_ERROR - a field needs 8 bytes, but 1 are left)",
      "<- AMQP unknown method ch=1 5 bytes",
    ],
  },
  {
    name: "MQTT 5.0",
    events: [
      ["->", bytes(`\x10\x21\0\x04MQTT\x05\xc2\0\x3c\x03\x21\0\x0a\0\x03me1\0\x04jane\0\x06${SECRET}`)],
      ["<-", bytes("\x20\x03\0\0\0")],
      ["->", bytes("\x82\x09\0\x01\0\0\x03a/#\x01")],
      ["<-", bytes("\x90\x04\0\x01\0\x01")],
      ["<-", bytes("\x32\x0d\0\x03a/b\0\x03\0hello")],
      ["->", bytes("\x40\x02\0\x03\xc0\0")],
      ["->", bytes(`\xf0\x0f\x18\x0d\x15\0\x01x\x16\0\x06${SECRET}`)],
      ["->", bytes("\xe0\0")],
    ],
    lines: [
      "-> MQTT CONNECT version=5.0 client_id=me1 clean_start keep_alive=60 user=jane password=(hidden)",
      "<- MQTT CONNACK code=0x00 (success)",
      "-> MQTT SUBSCRIBE id=1 a/# qos=1",
      "<- MQTT SUBACK id=1 codes=1",
      '<- MQTT PUBLISH qos=1 id=3 topic=a/b 5 bytes "hello"',
      "-> MQTT PUBACK id=3",
      "-> MQTT PINGREQ",
      "-> MQTT AUTH code=0x18 (continue authentication) authentication_data=(hidden)",
      "-> MQTT DISCONNECT code=0x00 (success)",
    ],
  },
  {
    name: "STOMP",
    events: [
      ["->", bytes(`CONNECT\naccept-version:1.2\nlogin:guest\npasscode:${SECRET}\n\n\0\n`)],
      ["->", bytes(`CONNECT\nlogin:guest\npasscode ${SECRET}\n\n\0`)],
      ["<-", bytes("CONNECTED\r\nversion:1.2\r\n\r\n\0\n\n")],
      ["->", bytes("SEND\ndestination:/queue/a b\ncontent-length:3\n\n\0x\n\0\n")],
      ["<-", bytes("MESSAGE\nid:1\n\nto do\0")],
      ["<-", bytes("RECEIPT\nreceipt-id:1\n\n\0")],
    ],
    lines: [
      "-> STOMP CONNECT accept-version=1.2 login=guest passcode=(hidden)",
      "-> STOMP CONNECT login=guest (a header without a colon)",
      "<- STOMP CONNECTED version=1.2",
      "<- STOMP heart-beat",
      '-> STOMP SEND destination="/queue/a b" content-length=3 3 bytes "\\x00x\\n"',
      '<- STOMP MESSAGE id=1 5 bytes "to do"',
      "<- STOMP RECEIPT receipt-id=1",
    ],
  },
];
