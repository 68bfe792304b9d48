/** The client of RabbitMQ's stream protocol, whose server is the test. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { COMMAND, RESPONSE, StreamError } from "../../../../lib/amqp/client/stream/commands.ts";
import { FRAME_MAX, StreamConnection } from "../../../../lib/amqp/client/stream/connection.ts";
import { type FrameReader, StreamDecoder } from "../../../../lib/amqp/client/stream/decoder.ts";
import { StreamEncoder } from "../../../../lib/amqp/client/stream/encoder.ts";
import {
  StreamPublisher,
  type StreamPublisherOptions,
} from "../../../../lib/amqp/client/stream/publisher.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { MqcatError } from "../../../../lib/errors.ts";
import type { Bodies } from "../../../../lib/link/message.ts";
import { captureIntervals } from "../../../support/captured_interval.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";

const BROKERS = parseAmqpUrl("amqp://me:secret@localhost/shop");
const ENVELOPE = { exchange: "", routingKey: "", properties: new Uint8Array(0) };

/** How the fields of the client's frames are read. */
const FIELDS: Readonly<Record<number, (fields: FrameReader) => unknown[]>> = {
  [COMMAND.declarePublisher]: (f) => [f.uint32(), f.uint8(), f.text(), f.text()],
  [COMMAND.queryPublisherSequence]: (f) => [f.uint32(), f.text(), f.text()],
  [COMMAND.peerProperties]: (f) => [f.uint32(), f.uint32(), f.text(), f.text()],
  [COMMAND.saslHandshake]: (f) => [f.uint32()],
  [COMMAND.saslAuthenticate]: (f) => [f.uint32(), f.text(), textOf(f, f.uint32())],
  [COMMAND.tune]: (f) => [f.uint32(), f.uint32()],
  [COMMAND.open]: (f) => [f.uint32(), f.text()],
  [COMMAND.close]: (f) => [f.uint32(), f.uint16(), f.text()],
  [COMMAND.close | RESPONSE]: (f) => [f.uint32(), f.uint16()],
  [COMMAND.heartbeat]: () => [],
  // The ids of the messages, whose sections are not of interest here.
  [COMMAND.publish]: (f) => [
    f.uint8(),
    ...Array.from({ length: f.uint32() }, () => {
      const id = f.uint64();
      textOf(f, f.uint32());
      return id;
    }),
  ],
};

function textOf(fields: FrameReader, length: number): string {
  return String.fromCharCode(...Array.from({ length }, () => fields.uint8()));
}

/** A frame of the client: its command, and its fields. */
type Sent = [command: string, ...fields: unknown[]];

/** The server of one connection. */
class Server {
  readonly stream = new ScriptedStream();
  readonly #encoder = new StreamEncoder();

  /** @param confirmsClose whether it confirms a close of the client */
  constructor(confirmsClose = false) {
    if (!confirmsClose) return;
    const { stream } = this;
    stream.write = (bytes) => {
      ScriptedStream.prototype.write.call(stream, bytes);
      const [command, id] = this.sent.at(-1)!;
      if (command === "close") queueMicrotask(() => this.answer(COMMAND.close, id as number));
    };
  }

  /** What the client has sent. */
  get sent(): Sent[] {
    const sent: Sent[] = [];
    const decoder = new StreamDecoder(FRAME_MAX, (key, fields) => {
      const name = Object.entries(COMMAND).find(([, value]) => value === (key & ~RESPONSE))![0];
      sent.push([key === (key & ~RESPONSE) ? name : `${name}Response`, ...FIELDS[key]!(fields)]);
      assert.throws(() => fields.uint8(), /ends before its fields/);
    });
    decoder.push(this.stream.sent);
    return sent;
  }

  /** Waits until the client has sent so many frames. */
  async until(count: number): Promise<Sent[]> {
    await waitFor(() => this.sent.length >= count, 5000, `${count} frames`);
    return this.sent;
  }

  say(key: number, write: (encoder: StreamEncoder) => void = () => {}): void {
    write(this.#encoder.begin(key));
    this.#encoder.end();
    this.stream.feed(this.#encoder.out.take());
  }

  answer(key: number, id: number, code = 1, write: (encoder: StreamEncoder) => void = () => {}): void {
    this.say(key | RESPONSE, (encoder) => write(encoder.uint32(id).uint16(code)));
  }

  /** Accepts the login. */
  async accept({ frameMax = 0, heartbeat = 0 } = {}): Promise<void> {
    await this.until(1);
    this.answer(COMMAND.peerProperties, 1, 1, (encoder) => {
      encoder.uint32(2).text("product").text("RabbitMQ").text("version").text("4.1");
    });
    await this.until(2);
    this.answer(COMMAND.saslHandshake, 2);
    await this.until(3);
    this.answer(COMMAND.saslAuthenticate, 3);
    this.say(COMMAND.tune, (encoder) => encoder.uint32(frameMax).uint32(heartbeat));
    await this.until(5);
    this.answer(COMMAND.open, 4);
  }

  /** Accepts a publisher whose last id is `known`. */
  async declare(known: number): Promise<void> {
    await this.until(6);
    this.answer(COMMAND.declarePublisher, 5);
    await this.until(7);
    this.answer(COMMAND.queryPublisherSequence, 6, 1, (encoder) => encoder.uint32(0).uint32(known));
  }

  confirm(...ids: number[]): void {
    this.say(COMMAND.publishConfirm, (encoder) => {
      encoder.uint8(1).uint32(ids.length);
      for (const id of ids) encoder.uint32(0).uint32(id);
    });
  }
}

/** A connection that is not logged in. */
function connect() {
  const server = new Server();
  return { server, stream: server.stream, connection: new StreamConnection(server.stream) };
}

/** A connection after its login. */
async function loggedIn(tune = {}) {
  const parts = connect();
  const login = parts.connection.logIn(BROKERS[0]!);
  await parts.server.accept(tune);
  await deadline(login, 5000, "the login");
  return parts;
}

/** Waits until writes are done. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

const failsWith = (code: string, message: string) => (error: unknown) => {
  assert.ok(error instanceof MqcatError, `${error}`);
  assert.deepEqual([error.code, error.message], [code, message]);
  return true;
};

describe("stream protocol: login", () => {
  it("login - the frames, the name of the server, and the limits of both sides", async () => {
    const cases = [[0, FRAME_MAX], [4096, 4096], [FRAME_MAX - 1, FRAME_MAX - 1], [FRAME_MAX + 1, FRAME_MAX]];
    for (const [frameMax, expected] of cases) {
      const { server, connection } = await loggedIn({ frameMax });
      assert.deepEqual(server.sent, [
        ["peerProperties", 1, 1, "product", "mqcat"],
        ["saslHandshake", 2],
        ["saslAuthenticate", 3, "PLAIN", "\0me\0secret"],
        ["tune", expected, 0],
        ["open", 4, "shop"],
      ]);
      assert.deepEqual([connection.frameMax, connection.server], [expected, "RabbitMQ 4.1"]);
      connection.abort();
    }
  });

  it("login - a refusal names the step and the reason", async () => {
    const cases = [
      [COMMAND.saslHandshake, 7, "ERR_AUTH", "login: the SASL mechanism is not supported"],
      [COMMAND.saslAuthenticate, 8, "ERR_AUTH", "login: wrong user or password"],
      [COMMAND.open, 12, "ERR_AUTH", "virtual host 'shop': the user has no access to the virtual host"],
      [COMMAND.open, 0, "ERR_AUTH", "virtual host 'shop': response code 0"],
      [COMMAND.peerProperties, 99, "ERR_STREAM", "properties: response code 99"],
    ] as const;
    for (const [command, code, kind, message] of cases) {
      const { server, connection } = connect();
      const login = connection.logIn(BROKERS[0]!);
      for (
        const key of [COMMAND.peerProperties, COMMAND.saslHandshake, COMMAND.saslAuthenticate, COMMAND.open]
      ) {
        const sent = await server.until(key === COMMAND.open ? 5 : key - COMMAND.peerProperties + 1);
        server.answer(
          key,
          sent.at(-1)![1] as number,
          key === command ? code : 1,
          (encoder) => encoder.uint32(0),
        );
        if (key === command) break;
        if (key === COMMAND.saslAuthenticate) {
          server.say(COMMAND.tune, (encoder) => encoder.uint32(0).uint32(0));
        }
      }
      await assert.rejects(deadline(login, 5000, "the refusal"), failsWith(kind, message));
      connection.abort();
    }
  });

  it("login - a server may have 100 properties, or none", async () => {
    for (const [count, expected] of [[0, ""], [100, "4"], [101, undefined]] as const) {
      const { server, connection } = connect();
      const login = connection.logIn(BROKERS[0]!);
      await server.until(1);
      server.answer(COMMAND.peerProperties, 1, 1, (encoder) => {
        encoder.uint32(count);
        for (let i = 0; i < count; i++) encoder.text("version").text("4");
      });
      if (expected === undefined) {
        const tooMany = failsWith("ERR_PROTOCOL", "The server has 101 properties");
        await assert.rejects(deadline(login, 5000, "the failure"), tooMany);
        continue;
      }
      await server.until(2);
      assert.equal(connection.server, expected);
      connection.abort();
      await assert.rejects(login, failsWith("ERR_UNREACHABLE", "The connection was closed"));
    }
  });

  it("login - ends with the connection while it waits for the limits", async () => {
    const { server, stream, connection } = connect();
    const login = connection.logIn(BROKERS[0]!);
    for (const key of [COMMAND.peerProperties, COMMAND.saslHandshake, COMMAND.saslAuthenticate]) {
      const sent = await server.until(key - COMMAND.peerProperties + 1);
      server.answer(key, sent.length, 1, (encoder) => encoder.uint32(0));
    }
    await settle();
    stream.feedEnd();
    const lost = failsWith("ERR_UNREACHABLE", "The server closed the connection without a Close");
    await assert.rejects(deadline(login, 5000, "the failure"), lost);
  });
});

describe("stream protocol: connection", () => {
  it("frames that nothing asked for end it", async () => {
    const cases: [(server: Server) => void, string, string][] = [
      [(server) => server.answer(COMMAND.open, 5), "ERR_PROTOCOL", "Unexpected response 5 to command 21"],
      [(server) => server.answer(COMMAND.close, 9), "ERR_PROTOCOL", "Unexpected response 9 to command 22"],
      [(server) => server.say(COMMAND.tune, (e) => e.uint32(0).uint32(0)), "ERR_PROTOCOL", "Unexpected Tune"],
      [
        (server) => server.say(COMMAND.tune),
        "ERR_PROTOCOL",
        "A frame of the stream protocol ends before its fields",
      ],
      [
        (server) => server.stream.feed(Uint8Array.of(0, 0x10, 0, 1)),
        "ERR_PROTOCOL",
        "A frame of the stream protocol has 1048577 bytes: the limit is 1048576",
      ],
    ];
    for (const [act, code, message] of cases) {
      const { server, connection } = await loggedIn();
      const call = connection.call(COMMAND.close, "close");
      act(server);
      failsWith(code, message)(await deadline(connection.closed, 5000, "the end"));
      await assert.rejects(call, failsWith(code, message));
      await assert.rejects(connection.call(COMMAND.close, "close"), failsWith(code, message));
      // Nothing that follows counts.
      connection.onData(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
    }
  });

  it("a close of the server is confirmed, and its reason is the error", async () => {
    const { server, connection } = await loggedIn();
    server.say(COMMAND.close, (encoder) => encoder.uint32(7).uint16(5).text("going down"));
    assert.equal(connection.over, true);
    const reason = failsWith("ERR_UNREACHABLE", "The server closed the connection: 5 going down");
    reason(await deadline(connection.closed, 5000, "the end"));
    assert.deepEqual(server.sent.at(-1), ["closeResponse", 7, 1]);
    await assert.rejects(connection.call(COMMAND.open, "x"), reason);
  });

  it("close - ends with the answer, with the end of the stream, or after its time limit, and is no error", async () => {
    for (const how of ["answer", "end", "nothing"]) {
      const { server, stream, connection } = await loggedIn();
      assert.equal(connection.over, false);
      const waiting = how === "end" ? connection.call(COMMAND.saslHandshake, "x") : undefined;
      const closing = connection.close(how === "nothing" ? 1 : undefined);
      assert.equal(connection.over, true);
      if (how === "answer") {
        await server.until(6);
        server.answer(COMMAND.close, 5);
      }
      if (how === "end") stream.feedEnd();
      const closed = failsWith("ERR_CLOSED", "The connection was closed");
      if (waiting !== undefined) await assert.rejects(deadline(waiting, 5000, "the call"), closed);
      await deadline(closing, 5000, "the end");
      await deadline(connection.close(), 5000, "the second close");
      assert.equal(await connection.closed, undefined);
      if (waiting === undefined) assert.deepEqual(server.sent.slice(5), [["close", 5, 1, "Goodbye"]]);
      const over = failsWith("ERR_CLOSED", "The stream connection is closed");
      await assert.rejects(connection.call(COMMAND.open, "x"), over);
      const { length } = server.sent;
      connection.encoder.begin(COMMAND.heartbeat).end();
      connection.flush();
      assert.equal(server.sent.length, length);
    }
  });

  it("output - is large at 256 KiB, and writable again when the system has taken it", async () => {
    const { stream, connection } = connect();
    let writable = 0;
    connection.events = { onWritable: () => writable++ };
    connection.flush();
    assert.equal(stream.sent.length, 0);
    connection.encoder.begin(COMMAND.heartbeat).end();
    connection.flush();
    // While this write is in progress, more is collected.
    connection.encoder.out.append(new Uint8Array(256 * 1024 - 1));
    assert.equal(connection.full, false);
    connection.encoder.out.append(new Uint8Array(1));
    assert.equal(connection.full, true);
    await settle();
    assert.deepEqual([connection.full, writable, stream.sent.length], [false, 2, 8 + 256 * 1024]);
    connection.abort();
  });

  it("events - an error of each ends the connection", async () => {
    const cases: [string, (server: Server, connection: StreamConnection) => void][] = [
      ["onFrame", (server) => server.confirm()],
      ["onBatchEnd", (server) => server.say(COMMAND.heartbeat)],
      ["onWritable", (_server, connection) => {
        connection.encoder.begin(COMMAND.heartbeat).end();
        connection.flush();
      }],
    ];
    for (const [name, act] of cases) {
      const { server, connection } = await loggedIn();
      await settle();
      connection.events = {
        [name]: () => {
          throw new MqcatError("ERR_PROTOCOL", name);
        },
      };
      act(server, connection);
      failsWith("ERR_PROTOCOL", name)(await deadline(connection.closed, 5000, "the end"));
    }
  });

  it("heartbeats - none for an interval of 0", async () => {
    const { server, connection } = connect();
    const login = connection.logIn(BROKERS[0]!);
    login.catch(() => {});
    for (const key of [COMMAND.peerProperties, COMMAND.saslHandshake]) {
      const sent = await server.until(key - COMMAND.peerProperties + 1);
      server.answer(key, sent.length, 1, (encoder) => encoder.uint32(0));
    }
    await server.until(3);
    const { ticks } = captureIntervals(() => server.say(COMMAND.tune, (e) => e.uint32(0).uint32(0)));
    assert.deepEqual(ticks, []);
    connection.abort();
  });

  it("heartbeats - are sent when nothing else was, and a silent server is given up after two intervals", async () => {
    const { server, stream, connection } = connect();
    const login = connection.logIn(BROKERS[0]!);
    for (const key of [COMMAND.peerProperties, COMMAND.saslHandshake]) {
      const sent = await server.until(key - COMMAND.peerProperties + 1);
      server.answer(key, sent.length, 1, (encoder) => encoder.uint32(0));
    }
    await server.until(3);
    server.answer(COMMAND.saslAuthenticate, 3);
    const { ticks, delays } = captureIntervals(() => server.say(COMMAND.tune, (e) => e.uint32(0).uint32(10)));
    assert.deepEqual(delays, [5000]);
    assert.deepEqual((await server.until(5))[3], ["tune", FRAME_MAX, 10]);
    server.answer(COMMAND.open, 4);
    await deadline(login, 5000, "the login");
    const beat = async () => {
      const before = stream.sent.length;
      ticks[0]!();
      await settle();
      return stream.sent.length - before;
    };
    assert.equal(await beat(), 0, "the login was sent in this half");
    assert.equal(await beat(), 8);
    assert.deepEqual(server.sent.at(-1), ["heartbeat"]);
    server.say(COMMAND.heartbeat);
    assert.equal(await beat(), 8);
    for (let i = 0; i < 3; i++) await beat();
    assert.equal(stream.over, false);
    await beat();
    const silent = failsWith(
      "ERR_UNREACHABLE",
      "The server sent nothing for 20 s, twice the heartbeat interval",
    );
    silent(await deadline(connection.closed, 5000, "the end"));
  });
});

/** Bodies of the words of a text. */
function bodies(text: string): Bodies {
  const words = text.split(" ");
  const bytes = new TextEncoder().encode(words.join(""));
  let at = 0;
  const starts = words.map((word) => (at += word.length) - word.length);
  return { bytes, starts, ends: words.map((word, i) => starts[i]! + word.length) };
}

/** Runs `work` with a publisher and its servers, one for each connection. */
async function publishing(
  options: Partial<StreamPublisherOptions>,
  work: (publisher: StreamPublisher, server: (number: number) => Promise<Server>) => Promise<void>,
): Promise<void> {
  const servers: Server[] = [];
  const publisher = new StreamPublisher(BROKERS, "log", {
    publisherId: "import",
    reconnect: { first: 1, longest: 1 },
    ...options,
    dial: () => {
      servers.push(new Server(true));
      return Promise.resolve(servers.at(-1)!.stream);
    },
  });
  try {
    await work(publisher, async (number) => {
      await waitFor(() => servers[number] !== undefined, 5000, `connection ${number}`);
      return servers[number]!;
    });
  } finally {
    await publisher.close(1);
  }
}

describe("stream protocol: publisher", () => {
  it("messages that the stream has are confirmed without being sent, also on the next connection", async () => {
    const known: number[] = [];
    await publishing({ onKnown: (count) => known.push(count) }, async (publisher, server) => {
      const starting = publisher.start();
      const first = await server(0);
      await first.accept();
      await first.declare(2);
      await deadline(starting, 5000, "the start");
      assert.deepEqual(first.sent.slice(5), [
        ["declarePublisher", 5, 1, "import", "log"],
        ["queryPublisherSequence", 6, "import", "log"],
      ]);
      assert.equal(publisher.publish(bodies("a b c d e"), 0, 5, ENVELOPE), 5);
      await waitFor(() => publisher.acknowledged === 2);
      assert.deepEqual((await first.until(8)).at(-1), ["publish", 1, 3, 4, 5]);
      first.confirm(3, 4);
      await waitFor(() => publisher.acknowledged === 4);
      first.stream.feedEnd();

      const second = await server(1);
      await second.accept();
      await second.declare(5);
      await waitFor(() => publisher.acknowledged === 5);
      assert.equal(publisher.publish(bodies("f"), 0, 1, ENVELOPE), 1);
      assert.deepEqual((await second.until(8)).at(-1), ["publish", 1, 6]);
      second.confirm(6);
      await waitFor(() => publisher.acknowledged === 6);
    });
    assert.deepEqual(known, [2, 5]);
  });

  it("a stream that accepts no messages, or changes its leader, is away", async () => {
    const events: string[] = [];
    const onEvent: StreamPublisherOptions["onEvent"] = (event) => {
      if (event.type === "lost") events.push(event.error.message);
      if (event.type === "away") events.push(`away ${event.error.message}`);
    };
    await publishing({ onEvent }, async (publisher, server) => {
      const starting = publisher.start();
      await (await server(0)).accept();
      await (await server(0)).declare(0);
      await deadline(starting, 5000, "the start");
      (await server(0)).say(COMMAND.publishError);
      await (await server(1)).accept();
      await (await server(1)).declare(0);
      (await server(1)).say(0x7fff); // Means nothing.
      (await server(1)).say(COMMAND.metadataUpdate);
      const third = await server(2);
      await third.accept();
      await third.until(6);
      third.answer(COMMAND.declarePublisher, 5, 6);
      const fourth = await server(3);
      await fourth.accept();
      await fourth.until(6);
      fourth.answer(COMMAND.declarePublisher, 5, 2);
      await waitFor(() => publisher.failure !== undefined);
      failsWith("ERR_STREAM", "stream 'log': the stream does not exist")(publisher.failure);
    });
    assert.deepEqual(events, [
      "queue 'log' is unavailable: it accepts no messages",
      "queue 'log' is unavailable: its leader has changed",
      "away queue 'log' is unavailable: stream 'log': the stream is not available",
    ]);
  });

  it("the size of a message is limited by the first connection, and no later one may have a lower limit", async () => {
    await publishing({}, async (publisher, server) => {
      const big = { bytes: new Uint8Array(FRAME_MAX), starts: [0], ends: [FRAME_MAX - 32] };
      const tooLarge =
        /^Cannot publish a message of 1048544 bytes: the limit of this connection is 1048543 bytes$/;
      assert.throws(() => publisher.publish(big, 0, 1, ENVELOPE), { message: tooLarge });
      const starting = publisher.start();
      await (await server(0)).accept({ frameMax: 100 });
      await (await server(0)).declare(0);
      await deadline(starting, 5000, "the start");
      const most = { bytes: new Uint8Array(100), starts: [0, 0], ends: [67, 68] };
      assert.equal(publisher.publish(most, 0, 2, ENVELOPE), 1);
      assert.throws(() => publisher.publish(most, 1, 2, ENVELOPE), /of 68 bytes: .* is 67 bytes$/);
      (await server(0)).stream.feedEnd();
      await (await server(1)).accept({ frameMax: 101 });
      await (await server(1)).declare(0);
      (await server(1)).stream.feedEnd();
      await (await server(2)).accept({ frameMax: 99 });
      await waitFor(() => publisher.failure !== undefined);
      const changed = "The limit of frames has changed from 100 to 99 bytes";
      failsWith("ERR_PROTOCOL", changed)(publisher.failure);
    });
  });

  it("a login ends after the time limit", async () => {
    await publishing({ handshakeTimeout: 50 }, async (publisher) => {
      const late = "The server did not answer in time: is its stream plug-in enabled?";
      await assert.rejects(
        deadline(publisher.start(), 5000, "the failure"),
        failsWith("ERR_UNREACHABLE", late),
      );
    });
  });

  it("temporary - two codes only", () => {
    const codes = Array.from({ length: 20 }, (_, code) => code);
    assert.deepEqual(codes.filter((code) => new StreamError(code, "x").isTemporary), [6, 15]);
  });
});
