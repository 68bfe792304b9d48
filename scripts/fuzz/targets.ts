/** The targets of the fuzzer. */
import { MqcatError } from "../../lib/errors.ts";
import { readAmqp } from "../../lib/probe/amqp.ts";
import { readBanner } from "../../lib/probe/banner.ts";
import { readHttp } from "../../lib/probe/http.ts";
import { isZmtp } from "../../lib/probe/zmtp.ts";
import { connectInproc, listenInproc } from "../../lib/transport/schemes/inproc.ts";
import type { ByteStream } from "../../lib/transport/stream.ts";
import { parseHead } from "../../lib/transport/ws/http.ts";
import { ZwsDecoder } from "../../lib/transport/ws/decoder.ts";
import { Batch, COMMAND, MORE } from "../../lib/zmtp/batch.ts";
import { concat, EMPTY, utf8 } from "../../lib/zmtp/bytes.ts";
import {
  encodeError,
  encodeMetadata,
  parseCommand,
  parseError,
  parseMetadata,
} from "../../lib/zmtp/command.ts";
import { type ConnectionOwner, ZmtpConnection } from "../../lib/zmtp/connection.ts";
import { ZmtpFrameDecoder } from "../../lib/zmtp/frame_decoder.ts";
import { encodeCommand, encodeFrame } from "../../lib/zmtp/frame_encoder.ts";
import { encodeRest, SIGNATURE } from "../../lib/zmtp/greeting.ts";
import { handshake } from "../../lib/zmtp/handshake.ts";
import { resolveHeartbeat } from "../../lib/zmtp/heartbeat.ts";
import { curveClient, curveServer } from "../../lib/zmtp/mechanisms/curve.ts";
import { CurveCipher } from "../../lib/zmtp/mechanisms/curve_cipher.ts";
import { parseKeyFile } from "../../lib/zmtp/mechanisms/key_file.ts";
import { type Mechanism, protocolOf } from "../../lib/zmtp/mechanisms/mechanism.ts";
import { loadNacl, type Nacl } from "../../lib/zmtp/mechanisms/nacl.ts";
import { nullMechanism } from "../../lib/zmtp/mechanisms/null.ts";
import { plainClient, plainServer } from "../../lib/zmtp/mechanisms/plain.ts";
import { amqpTargets } from "./amqp.ts";
import { filters } from "./filter.ts";
import { mqttTargets } from "./mqtt.ts";
import { mutate } from "./mutate.ts";
import { stompTargets } from "./stomp.ts";
import { CannedStream, TamperedStream } from "./streams.ts";
import type { Target } from "./target.ts";

/** A size limit that changed lengths exceed, in bytes. */
const MAX_MESSAGE = 64 * 1024;
/** The timeout of handshakes that wait for removed bytes, in milliseconds. */
const HANDSHAKE_MS = 25;
const NO_OWNER: ConnectionOwner = { onBatch() {}, onSubscription() {}, onGroup() {}, onWritable() {} };

/** Returns all targets. This loads libsodium. */
export async function targets(): Promise<Target[]> {
  const nacl = await loadNacl();
  const server = nacl.keyPair();
  const letIn = { handler: () => ({ status: 200 as const }) };
  const pairs: [name: string, client: Mechanism, server: Mechanism][] = [
    ["NULL", nullMechanism(), nullMechanism(letIn)],
    ["PLAIN", plainClient("me", "secret"), plainServer(letIn)],
    [
      "CURVE",
      curveClient({ serverKey: server.publicKey }),
      curveServer({ keyPair: server, zap: letIn }),
    ],
  ];
  return [
    frames,
    commands,
    keyFiles,
    webSocketFrames,
    answers,
    ...amqpTargets,
    ...mqttTargets,
    ...stompTargets,
    filters,
    curveMessages(nacl),
    ...pairs.flatMap(([, client, server]) => [canned(client), canned(server)]),
    ...pairs.map(([name, client, server]) => tampered(name, client, server)),
  ];
}

const metadata = encodeMetadata([["Socket-Type", utf8("PUSH")], ["Identity", utf8("id")]]);
const messages = concat([
  encodeFrame(EMPTY),
  encodeFrame(utf8("hello"), MORE),
  encodeFrame(EMPTY, MORE),
  encodeFrame(new Uint8Array(300)),
  encodeCommand("SUBSCRIBE", utf8("topic")),
  encodeFrame(utf8("x"), MORE),
  encodeCommand("PING", Uint8Array.of(0, 10, 1, 2, 3)),
  encodeFrame(utf8("y")),
  encodeCommand("CANCEL", utf8("topic")),
  encodeError("enough"),
]);

const frames: Target = {
  name: "frames",
  seeds: [messages, encodeFrame(new Uint8Array(5000)), concat([messages, messages])],
  run(input, chance) {
    // The result must not depend on how the bytes are split into chunks.
    const whole = decodeFrames([input]);
    const cut = chance.below(input.length + 1);
    const halves = decodeFrames([input.subarray(0, cut), input.subarray(cut)]);
    if (whole.error === undefined && whole.summary !== halves.summary) {
      throw new Error(`split at ${cut} the result differs: ${halves.summary} instead of ${whole.summary}`);
    }
    if (whole.error !== undefined) throw whole.error;
  },
};

function decodeFrames(pieces: readonly Uint8Array[]): { summary: string; error: unknown } {
  let summary = "";
  const decoder = new ZmtpFrameDecoder(new Batch(), MAX_MESSAGE, (batch) => {
    for (let i = 0; i < batch.frames; i++) {
      const body = batch.frame(i);
      summary += `${batch.flags[i]! & (MORE | COMMAND)}:${body.length}:${body[0] ?? ""} `;
    }
  });
  try {
    for (const piece of pieces) decoder.push(piece);
  } catch (error) {
    return { summary, error };
  }
  return { summary, error: undefined };
}

const commands: Target = {
  name: "commands",
  seeds: [
    concat([Uint8Array.of(5), utf8("READY"), metadata]),
    concat([Uint8Array.of(5), utf8("ERROR"), Uint8Array.of(4), utf8("gone")]),
  ],
  run(input) {
    const { data } = parseCommand(input);
    parseError(data);
    parseMetadata(data);
  },
};

const keyFiles: Target = {
  name: "key files",
  seeds: [utf8(`# keys\nmetadata\ncurve\n    public-key = "${"0".repeat(40)}"\n${"a".repeat(40)} # him\n`)],
  run(input) {
    try {
      parseKeyFile(new TextDecoder().decode(input));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  },
};

const webSocketFrames: Target = {
  name: "WebSocket frames",
  seeds: [
    Uint8Array.of(0x82, 6, 0, ...utf8("hello")),
    Uint8Array.of(0x82, 0x86, 1, 2, 3, 4, 1, ...utf8("hello")),
    Uint8Array.of(0x02, 3, 1, 65, 66, 0x89, 2, 7, 7, 0x80, 1, 67, 0x88, 2, 3, 0xe8),
    concat([Uint8Array.of(0x82, 126, 1, 0), new Uint8Array(256)]),
  ],
  run(input, chance) {
    const decoder = new ZwsDecoder(chance.below(2) === 0, MAX_MESSAGE, () => {});
    const cut = chance.below(input.length + 1);
    decoder.push(input.slice(0, cut));
    decoder.push(input.slice(cut));
  },
};

const answers: Target = {
  name: "HTTP heads, and answers to a probe",
  seeds: [
    utf8("HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Type: text/plain\r\n\r\nnothing\n"),
    utf8("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    utf8("220 mail.example ESMTP\r\n"),
    concat([
      Uint8Array.of(1, 0, 0, 0, 0, 0, 12, 0, 10, 0, 10, 0, 9, 0, 0, 0, 0),
      new Uint8Array(8),
      Uint8Array.of(0xce),
    ]),
    concat([SIGNATURE, Uint8Array.of(3), encodeRest("NULL", false)]),
  ],
  run(input) {
    // A probe reports any answer and must not throw.
    isZmtp(input);
    readAmqp(input);
    readBanner(input);
    readHttp(input);
    parseHead(new TextDecoder("latin1").decode(input));
  },
};

/** MESSAGE commands of CURVE with the right key: changed ones must be detected, and the others decrypted. */
function curveMessages({ workspace, streamKey }: Nacl): Target {
  const key = streamKey(new Uint8Array(32).fill(7), new TextEncoder().encode("CurveZMQMESSAGEC"));
  const make = () =>
    new CurveCipher(workspace, {
      sendKey: key,
      receiveKey: key,
      sent: 2,
      received: new Uint8Array(8),
    });
  const plain = [messages, encodeFrame(new Uint8Array(1000))];
  return {
    name: "CURVE messages",
    seeds: plain.map((frames) => make().seal(frames).slice()),
    run(input) {
      const cipher = make();
      const inner = new ZmtpFrameDecoder(new Batch(), MAX_MESSAGE, () => {});
      const outer = new ZmtpFrameDecoder(
        new Batch(),
        MAX_MESSAGE,
        (batch) => cipher.open(batch, (frames) => inner.push(frames)),
      );
      outer.push(input);
    },
  };
}

/** One side of a handshake with a peer that sends malformed bytes; on success, the connection reads the rest. */
function canned(security: Mechanism): Target {
  const greeting = concat([SIGNATURE, Uint8Array.of(3), encodeRest(security.name, !security.asServer)]);
  const hello = encodeCommand(
    "HELLO",
    concat([Uint8Array.of(2), utf8("me"), Uint8Array.of(6), utf8("secret")]),
  );
  const said = {
    NULL: [encodeCommand("READY", metadata)],
    PLAIN: security.asServer
      ? [hello, encodeCommand("INITIATE", metadata)]
      : [encodeCommand("WELCOME", EMPTY), encodeCommand("READY", metadata)],
    CURVE: security.asServer
      ? [
        encodeCommand("HELLO", new Uint8Array(194).fill(1, 0, 1)),
        encodeCommand("INITIATE", new Uint8Array(280)),
      ]
      : [encodeCommand("WELCOME", new Uint8Array(160)), encodeCommand("READY", new Uint8Array(60))],
  }[security.name];
  const old = Uint8Array.of(...SIGNATURE, 1, 8, 0, 2, 65, 66);
  return {
    name: `handshake ${security.name}${
      security.asServer ? " server" : protocolOf(security).optional ? " without a handler" : ""
    }`,
    seeds: [concat([greeting, ...said, messages]), greeting, concat([old, messages])],
    lanes: 8,
    async run(input, chance) {
      const stream = new CannedStream(input, chance.below(input.length + 1));
      await shake(stream, security, chance.below(2) === 0);
    },
  };
}

/** Both sides of a handshake, with an attacker between them that changes one chunk. */
function tampered(name: string, client: Mechanism, server: Mechanism): Target {
  let names = 0;
  return {
    name: `handshake ${name}, tampered with`,
    // The two sides produce all bytes, so the seed has no meaning; `chance` chooses the chunk to change.
    seeds: [new Uint8Array(16)],
    lanes: name === "CURVE" ? 4 : 64,
    async run(_input, chance) {
      const endpoint = `fuzz-${name}-${++names}`;
      let left = chance.below(8);
      const said: Uint8Array[] = [];
      const tamper = (chunk: Uint8Array) => {
        said.push(chunk.slice());
        return left-- === 0 ? mutate(chunk, said, chance) : chunk;
      };
      let listener: { close(): Promise<void> } | undefined;
      const accepted = new Promise<ByteStream>((resolve) => listener = listenInproc(endpoint, resolve));
      const near = new TamperedStream(await connectInproc(endpoint, AbortSignal.timeout(1000)), tamper);
      const far = new TamperedStream(await accepted, tamper);
      await listener!.close();
      const results = await Promise.allSettled([shake(near, client, true), shake(far, server, false)]);
      near.close();
      far.close();
      const thrown = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
      // An error of the library on one side must not hide another error on the other side.
      const foreign = thrown.find((error) => !(error instanceof MqcatError));
      if (thrown.length > 0) throw foreign ?? thrown[0];
    },
  };
}

async function shake(stream: ByteStream, security: Mechanism, dialed: boolean): Promise<void> {
  const options = { socketType: dialed ? "PUSH" : "PULL", security, dialed, timeout: HANDSHAKE_MS } as const;
  const result = await handshake(stream, options);
  const limits = { messages: 1000, bytes: 2 ** 20 };
  const connection = new ZmtpConnection(stream, result, NO_OWNER, limits, MAX_MESSAGE, resolveHeartbeat());
  connection.start();
  connection.sendSubscriptions([utf8("topic")], true);
  await Promise.resolve();
  connection.close();
}
