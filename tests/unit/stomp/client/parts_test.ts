/** Parts of the STOMP client: the login, what its answers mean, acknowledgements, and the check that a queue exists. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeProperties, encodeProperties, NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import { ProtocolError, UnreachableError } from "../../../../lib/errors.ts";
import { dialFirst } from "../../../../lib/link/dial.ts";
import { StompConnection } from "../../../../lib/stomp/client/connection.ts";
import { DeliveryReader } from "../../../../lib/stomp/client/delivery_reader.ts";
import { isPermanent } from "../../../../lib/stomp/client/errors.ts";
import { logIn } from "../../../../lib/stomp/client/handshake.ts";
import type { Envelope } from "../../../../lib/link/message.ts";
import type { PortEvents } from "../../../../lib/link/port.ts";
import { SendHeads } from "../../../../lib/stomp/client/send_port.ts";
import { Sending } from "../../../../lib/stomp/client/sending.ts";
import { StompDecoder } from "../../../../lib/stomp/frame_decoder.ts";
import { STOMP } from "../../../../lib/stomp/client/protocol.ts";
import { requireQueue } from "../../../../lib/stomp/client/queue_check.ts";
import { StompSubscriber } from "../../../../lib/stomp/client/subscriber.ts";
import { Unsettled } from "../../../../lib/stomp/client/unsettled.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import { StompEncoder } from "../../../../lib/stomp/frame_encoder.ts";
import { StompFrame, type StompVersion } from "../../../../lib/stomp/frame.ts";
import { StompError } from "../../../../lib/stomp/stomp_error.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { serveStomp } from "../../../support/scripted_stomp.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";

/** Logs in at a server that answers with this text. @returns what the client sent, and the login or its error */
async function login(answer: string | Uint8Array, query = "") {
  const stream = new ScriptedStream();
  const [server] = parseStompAddress(`stomp://me:secret@host?${query}`).servers;
  const attempt = logIn(stream, server!, 5000).catch((error: Error) => error);
  stream.feed(answer);
  const result = await deadline(attempt, 5000, "the login");
  assert.equal(stream.over, result instanceof Error, "a failed login closes the stream");
  return { sent: new TextDecoder().decode(stream.sent), result };
}

function frame(headers: Record<string, string>, body = ""): StompFrame {
  const frame = new StompFrame();
  frame.command = "MESSAGE";
  for (const [name, value] of Object.entries(headers)) frame.headers.set(name, value);
  frame.body = new TextEncoder().encode(body);
  frame.bodyEnd = frame.body.length;
  return frame;
}

describe("STOMP client: login", () => {
  it("heart-beats - the longer interval of both ends, for each direction", async () => {
    const cases: [own: number, header: string | undefined, sends: number, receives: number][] = [
      [10, undefined, 0, 0],
      [10, "0,0", 0, 0],
      [10, "10000,0", 0, 10_000],
      [10, "0,10000", 10_000, 0],
      [10, "9999,10001", 10_001, 10_000],
      [10, " 20000 , 5 ", 10_000, 20_000],
      [10, "999999999,999999999", 999_999_999, 999_999_999],
      [10, "1000000000,5", 0, 0],
      [10, "5", 0, 0],
      [0, "5,5", 0, 0],
    ];
    for (const [own, header, sendInterval, receiveInterval] of cases) {
      const beat = header === undefined ? "" : `heart-beat:${header}\n`;
      const { sent, result } = await login(`CONNECTED\nversion:1.2\n${beat}\n\0`, `heartbeat=${own}`);
      assert.ok(!(result instanceof Error));
      assert.deepEqual(
        [result.sendInterval, result.receiveInterval],
        [sendInterval, receiveInterval],
        header,
      );
      assert.match(
        sent,
        new RegExp(
          `^CONNECT\naccept-version:1.0,1.1,1.2\nhost:/\nlogin:me\npasscode:secret\n` +
            `heart-beat:${own * 1000},${own * 1000}\n\n\0`,
        ),
      );
    }
  });

  it("versions and names - those that the server says, and defaults", async () => {
    for (
      const [headers, version, server] of [
        ["", "1.0", "a STOMP server"],
        ["version:1.1\nserver:RabbitMQ/3.13\n", "1.1", "RabbitMQ 3.13"],
        ["version:1.2\nserver: \n", "1.2", "a STOMP server"],
      ] as const
    ) {
      const { result } = await login(`CONNECTED\n${headers}\n\0`);
      assert.ok(!(result instanceof Error));
      assert.deepEqual([result.version, result.decoder.version, result.server], [version, version, server]);
    }
  });

  const long = "9".repeat(30);
  const refused: [answer: string | Uint8Array, code: string, message: string][] = [
    ["RECEIPT\nreceipt-id:1\n\n\0", "ERR_PROTOCOL", "The server sent RECEIPT: expected CONNECTED"],
    [`${"A".repeat(21)}\n\n\0`, "ERR_PROTOCOL", `The server sent ${"A".repeat(20)}: expected CONNECTED`],
    [
      `CONNECTED\nversion:${long}\n\n\0`,
      "ERR_INCOMPATIBLE_PEER",
      `The server chose version '${long.slice(0, 20)}' of STOMP: this client speaks 1.0, 1.1, 1.2`,
    ],
    [
      "ERROR\nmessage:version not supported\n\n 9 only \n\0",
      "ERR_INCOMPATIBLE_PEER",
      "The server speaks no version of STOMP that this client speaks (1.0, 1.1, 1.2): 9 only",
    ],
    ["ERROR\nmessage:the version\n\nx\0", "ERR_STOMP", "the version: x"],
    ["ERROR\n\nx\0", "ERR_STOMP", "ERROR: x"],
    [
      "ERROR\nmessage:Bad CONNECT\n\nvirtual host '/' not found\0",
      "ERR_AUTH",
      "Virtual host '/' does not exist, or user 'me' has no access to it (it is the parameter vhost of the URL)",
    ],
    [
      "ERROR\nmessage:Bad CONNECT\n\n too many \n\0",
      "ERR_AUTH",
      "The server refused the connection: too many",
    ],
    ...[
      "access refused",
      "bad Password",
      "no passcode",
      "not authenticated",
      "non-loopback",
      "not authorized",
    ].map((text): [string, string, string] => [
      `ERROR\nmessage:x\n\n${text}\0`,
      "ERR_AUTH",
      "Login refused for user 'me': wrong user or password, or this user may log in only from the machine of the broker",
    ]),
    [
      Uint8Array.of(0x15, 3, 1),
      "ERR_INCOMPATIBLE_PEER",
      "The peer speaks TLS: use stomps:// at both ends, or stomp:// at both ends",
    ],
    [
      Uint8Array.of(0x16, 3, 1),
      "ERR_INCOMPATIBLE_PEER",
      "The peer speaks TLS: use stomps:// at both ends, or stomp:// at both ends",
    ],
    [
      Uint8Array.of(0xff, 0, 0),
      "ERR_INCOMPATIBLE_PEER",
      "The peer speaks ZMTP (ZeroMQ), not STOMP: a ZeroMQ socket has a tcp:// address",
    ],
    [
      "GET / HTTP/1.1\r\n\r\n",
      "ERR_INCOMPATIBLE_PEER",
      "The peer speaks HTTP, not STOMP: a browser needs STOMP over a WebSocket",
    ],
  ];
  it("refusals - each has its words", async () => {
    for (const [answer, code, message] of refused) {
      const { result } = await login(answer);
      const { code: found, message: words } = result as Error & { code: string };
      assert.deepEqual([found, words], [code, message]);
    }
  });

  it("frames - those that follow CONNECTED in one chunk are for the connection", async () => {
    const stream = new ScriptedStream();
    const [server] = parseStompAddress("stomp://host").servers;
    const attempt = logIn(stream, server!, 5000);
    stream.feed("CONNECTED\nversion:1.2\n\n\0ERROR\nmessage:over\n\n\0");
    const connection = new StompConnection(stream, await deadline(attempt), server!, 1000);
    assert.equal(`${await deadline(connection.closed)}`, "StompError: over: ");
  });

  it("errors - permanent are those that the server would report again", () => {
    const refusedBy = (code: number) => `{amqp_error,x,{shutdown,{server_initiated_close,${code},<<"x">>}}}`;
    const cases: [error: Error, permanent: boolean][] = [
      [new ProtocolError("x"), true],
      [new UnreachableError("x"), false],
      [new Error("x"), false],
      [new StompError("not_found", ""), true],
      [new StompError("Message refused", ""), false],
      [new StompError("connection_forced", ""), false],
      [new StompError("resource_error", ""), false],
      [new StompError("internal_error", ""), false],
      [new StompError("AMQP connection died", "shutdown"), false],
      [new StompError("AMQP channel died", "shutdown"), false],
      [new StompError("an AMQP channel died", "shutdown"), true],
      [new StompError("AMQP queue died", "shutdown"), true],
      ...[320, 506, 541].map((
        code,
      ): [Error, boolean] => [new StompError("AMQP connection died", refusedBy(code)), false]),
      ...[404, 403, 540].map((
        code,
      ): [Error, boolean] => [new StompError("AMQP channel died", refusedBy(code)), true]),
    ];
    for (const [error, permanent] of cases) assert.equal(isPermanent(error), permanent, `${error}`);
    assert.equal(new StompError("a", " b\nc \n").message, "a: b c");
  });
});

describe("STOMP client: messages", () => {
  it("acknowledgements - the frames of each version, each message once", () => {
    const expected: Record<StompVersion, string> = {
      "1.0":
        "ACK message-id:m1 subscription:s1|ACK message-id:m2 subscription:s2|ACK message-id:m3 subscription:s3",
      "1.1": "ACK message-id:m1 subscription:s1|NACK message-id:m4 subscription: requeue:false|" +
        "NACK message-id:m5 subscription:s5|ACK message-id:m2 subscription:s2|ACK message-id:m3 subscription:s3",
      "1.2": "ACK id:a1|NACK id:m4 requeue:false|NACK id:a5|ACK id:a2|ACK id:a3",
    };
    for (const version of ["1.0", "1.1", "1.2"] as const) {
      const encoder = new StompEncoder();
      encoder.version = version;
      const unsettled = new Unsettled({ encoder, version } as StompConnection);
      for (let tag = 1; tag <= 6; tag++) {
        // The fourth one has neither an id of its own nor a subscription.
        const more = tag === 4 ? {} : { ack: `a${tag}`, subscription: `s${tag}` };
        unsettled.add(tag, frame({ "message-id": `m${tag}`, ...more }));
      }
      unsettled.ack(1);
      unsettled.ack(1);
      unsettled.ack(7);
      unsettled.nack(4, false);
      unsettled.nack(4, false);
      unsettled.nack(5, true);
      unsettled.ackAll(3);
      unsettled.ackAll(3);
      const sent = new TextDecoder().decode(encoder.out.take());
      assert.equal(
        sent.split("\0").map((text) => text.trim().replaceAll("\n", " ")).filter((text) => text !== "").join(
          "|",
        ),
        expected[version],
      );
    }
  });

  it("deliveries - have the address and the properties of each frame, whatever the one before had", () => {
    const reader = new DeliveryReader();
    const own = { destination: "/queue/a", "message-id": "1", subscription: "s" };
    const frames: [
      headers: Record<string, string>,
      exchange: string,
      key: string,
      headers: unknown,
      again: boolean,
    ][] = [
      [{ ...own }, "", "a", undefined, false],
      [{ ...own, x: "1", y: "2" }, "", "a", { x: "1", y: "2" }, false],
      [{ ...own, x: "1", y: "2", redelivered: "true" }, "", "a", { x: "1", y: "2" }, true],
      [{ ...own, x: "1", y: "3" }, "", "a", { x: "1", y: "3" }, false],
      [{ ...own, x: "1", z: "3" }, "", "a", { x: "1", z: "3" }, false],
      [{ ...own, x: "1" }, "", "a", { x: "1" }, false],
      [{ ...own, z: "1" }, "", "a", { z: "1" }, false],
      [{ ...own, z: "1", x: "1" }, "", "a", { z: "1", x: "1" }, false],
      [{ ...own, destination: "/topic/b" }, "amq.topic", "b", undefined, false],
      [{ ...own, redelivered: "false" }, "", "a", undefined, false],
      [{}, "", "", undefined, false],
    ];
    for (const [i, [headers, exchange, key, properties, again]] of frames.entries()) {
      const body = `body ${i}`;
      const delivery = reader.read(frame(headers, body), i + 1);
      assert.deepEqual(
        [delivery.deliveryTag, delivery.exchange, delivery.routingKey, delivery.redelivered],
        [i + 1, exchange, key, again],
      );
      const { content } = delivery;
      assert.equal(new TextDecoder().decode(content.body.subarray(content.bodyStart, content.bodyEnd)), body);
      const { headers: found } = decodeProperties(content.properties.subarray(0, content.propertiesEnd));
      assert.deepEqual(found && { ...found }, properties, `frame ${i}`);
    }
  });
});

/** A connection after its login, and what it has sent. */
function connected(version: StompVersion = "1.2") {
  const stream = new ScriptedStream();
  const [server] = parseStompAddress("stomp://host").servers;
  const decoder = new StompDecoder({ onFrame() {} }, { maxBody: 1000 });
  const login = {
    decoder,
    version,
    server: "x",
    sendInterval: 0,
    receiveInterval: 0,
    failure: () => undefined,
  };
  const connection = new StompConnection(stream, login, server!, 1000);
  return { stream, connection, sent: () => new TextDecoder().decode(stream.sent) };
}

/** The events of a publisher as texts. */
function recorded() {
  const seen: string[] = [];
  const events: PortEvents = {
    onConfirm: (...confirm) => void seen.push(`confirm ${confirm.join(" ")}`),
    onReturn: () => assert.fail("STOMP returns nothing"),
    onBatchEnd: () => void seen.push("end"),
    onWritable: () => void seen.push("writable"),
    onFailure: ({ message }) => void seen.push(message),
  };
  return { seen, events };
}

describe("STOMP client: sending", () => {
  const to = (routingKey: string, headers?: Record<string, string>): Envelope => ({
    exchange: "",
    routingKey,
    properties: headers === undefined ? NO_PROPERTIES : encodeProperties({ headers }),
  });
  const [jobs, odd] = [to("jobs"), to("q", { "a:b": "c:d" })];

  it("heads - are encoded once for an envelope, and again for another version", () => {
    const heads = new SendHeads(false);
    const text = (envelope: Envelope) => new TextDecoder().decode(heads.headOf(envelope));
    const [plain, escaped] = [
      "SEND\ndestination:/amq/queue/jobs\n",
      "SEND\ndestination:/amq/queue/q\na\\cb:c\\cd\n",
    ];
    for (let i = 0; i < 2; i++) {
      assert.deepEqual([text(jobs), text(odd), text(odd), text(jobs)], [plain, escaped, escaped, plain]);
    }
    assert.equal(heads.headOf(odd), heads.headOf(odd));
    const before = heads.headOf(odd);
    heads.version = "1.2";
    assert.equal(heads.headOf(odd), before);
    heads.version = "1.0";
    assert.notEqual(text(odd), escaped);
    assert.equal(text(jobs), plain);
    assert.match(
      new TextDecoder().decode(new SendHeads(true).headOf(jobs)),
      /^SEND\ndestination:\/queue\/jobs\n/,
    );
  });

  it("messages - are frames with their tag as the receipt, whether properties change or not", async () => {
    for (const changes of [undefined, true]) {
      const { connection, sent } = connected();
      const port = await new Sending({ changes }).open(connection, recorded().events);
      assert.deepEqual([port.used, port.full], [false, false]);
      const body = new TextEncoder().encode("xbodyx");
      port.publish(7, odd, body, 1, 5);
      port.flush();
      assert.equal(port.used, true);
      assert.match(
        sent(),
        /^SEND\ndestination:\/amq\/queue\/q\na\\cb:c\\cd\nreceipt:7\ncontent-length:4\n\nbody\0\n$/,
      );
      connection.abort();
      await connection.closed;
      assert.equal(port.full, true);
      const { connection: crowded } = connected();
      const crowd = await new Sending({}).open(crowded, recorded().events);
      crowded.encoder.out.append(new Uint8Array(256 * 1024));
      assert.equal(crowd.full, true);
    }
  });

  it("receipts and refusals - are confirms of one message, and other errors are not", async () => {
    const { connection, stream } = connected();
    const { seen, events } = recorded();
    const replies: number[] = [];
    await new Sending({
      onReply: ({ deliveryTag }) => void replies.push(deliveryTag),
      onReplies: () => void seen.push("replies"),
    }).open(connection, events);
    stream.feed("RECEIPT\nreceipt-id:3\n\n\0RECEIPT\nreceipt-id:x\n\n\0");
    assert.deepEqual(seen.splice(0), ["confirm 3 false true", "end", "replies"]);
    stream.feed("MESSAGE\ndestination:/queue/r\n\n\0MESSAGE\ndestination:/queue/r\n\n\0");
    assert.deepEqual([replies, seen.splice(0)], [[1, 2], ["end", "replies"]]);
    stream.feed("ERROR\nmessage:Message refused\nreceipt-id:9\n\n full \0");
    assert.deepEqual(seen, ["confirm 9 false false full", "end"]);
    for (const error of ["message:Message refused\n\n\0", "message:other\nreceipt-id:9\n\n\0"]) {
      const other = connected();
      const { seen, events } = recorded();
      await new Sending({}).open(other.connection, events);
      other.stream.feed(`ERROR\n${error}`);
      assert.deepEqual(seen, []);
    }
  });

  it("silence - five connections in a row that end after messages, without a reason, are a failure", async () => {
    const failure =
      "no receipt: the server closed 5 connections after the same message, and gave no reason (RabbitMQ " +
      "does that when the queue is full and refuses messages)";
    /** The ends of connections: `s` is silent; `c` after a receipt, `u` before a message, `l` by a lost connection. */
    for (
      const [ends, fails] of [["ssss", 0], ["sssss", 1], ["sssscs", 0], ["ssssus", 0], ["sssslssss", 0], [
        "lsssss",
        1,
      ], ["cuucu", 0]] as const
    ) {
      const { seen, events } = recorded();
      const sending = new Sending({});
      for (const end of ends) {
        const { connection, stream } = connected();
        const port = await sending.open(connection, events);
        if (end !== "u") port.publish(1, jobs, new Uint8Array(0), 0, 0);
        if (end === "c") stream.feed("RECEIPT\nreceipt-id:1\n\n\0");
        if (end === "l") connection.abort(new UnreachableError("lost"));
        else stream.feedEnd();
        await connection.closed;
        await Promise.resolve();
      }
      assert.deepEqual(seen.filter((text) => text === failure).length, fails, ends);
    }
  });

  it("queue - one that must exist is asked for on each connection, and no other", async () => {
    for (const queue of ["q", undefined]) {
      let asked = 0;
      await serveStomp({
        on(served, { command }) {
          if (command === "CONNECT") served.say("CONNECTED", { version: "1.2", server: "mqcat/1" });
          if (command === "SUBSCRIBE") asked++;
          return command === "CONNECT";
        },
      }, async (url) => {
        const connection = await dialFirst(STOMP, parseStompAddress(url).servers);
        await deadline(new Sending({ queue }).open(connection, recorded().events), 5000, "the port");
        await connection.close();
      });
      assert.equal(asked, queue === undefined ? 0 : 1);
    }
  });
});

describe("STOMP client: subscribing", () => {
  it("prefetch - is 1000 unless it is given, at most 65535, and none without acknowledgements", async () => {
    for (
      const [options, expected] of [
        [{ acknowledges: true }, ["client-individual", "1000"]],
        [{ acknowledges: true, prefetch: 7 }, ["client-individual", "7"]],
        [{ acknowledges: true, prefetch: 65_536 }, ["client-individual", "65535"]],
        [{ acknowledges: false, prefetch: 7 }, ["auto", undefined]],
      ] as const
    ) {
      await serveStomp({}, async (url, connections) => {
        const { servers } = parseStompAddress(url);
        const subscriber = new StompSubscriber(servers, ["/queue/q"], { ...options, onDelivery() {} });
        await deadline(subscriber.start(), 5000, "the start");
        const { ack, "prefetch-count": prefetch } = connections[0]!.frames[1]!.headers;
        assert.deepEqual([ack, prefetch], expected);
        await deadline(subscriber.close(), 5000, "the close");
      });
    }
  });
});

describe("STOMP client: does a queue exist", () => {
  /** Checks a queue at a server that answers SUBSCRIBE with these details of an error. */
  async function check(
    details: string | undefined,
    server = "RabbitMQ/3",
  ): Promise<[error: Error | undefined, asked: unknown]> {
    let error: Error | undefined;
    let asked: unknown;
    await serveStomp({
      on(served, { command, headers }) {
        if (command === "CONNECT") {
          served.say("CONNECTED", { version: "1.2", server });
          return true;
        }
        if (command !== "SUBSCRIBE") return false;
        asked = headers;
        if (details === undefined) return false;
        served.say("ERROR", { message: "precondition_failed" }, details);
        return true;
      },
    }, async (url, connections) => {
      const { servers } = parseStompAddress(`${url}?vhost=shop`);
      const connection = await dialFirst(STOMP, servers);
      const checking = requireQueue(connection, "a/b", {
        onEvent: () => assert.fail("the check reports no events"),
      });
      error = await deadline(checking.then(() => undefined, (error) => error), 5000, "the check");
      await connection.close();
      assert.equal(connections.length, asked === undefined ? 1 : 2);
    });
    return [error, asked];
  }

  it("check - a missing queue is an error, an existing one and other servers are not", async () => {
    const asked = {
      id: "exists",
      destination: "/queue/a%2Fb",
      ack: "client",
      "x-expires": "0",
      receipt: "call-1",
    };
    const [missing, question] = await check("PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'a/b'");
    assert.ok(missing instanceof StompError);
    assert.deepEqual([missing.message, question], [
      "not_found: no queue 'a/b' in virtual host 'shop'",
      asked,
    ]);
    assert.deepEqual(await check("PRECONDITION_FAILED - inequivalent arg 'x-expires'"), [undefined, asked]);
    assert.deepEqual(await check(undefined, "mqcat/1"), [undefined, asked]);
    assert.deepEqual(await check("x", "ActiveMQ/5"), [undefined, undefined]);
    assert.deepEqual(await check("x", "a RabbitMQ/3"), [undefined, undefined]);
  });

  it("check - ends with the connection that it is for", async () => {
    await serveStomp({
      on(served, { command }) {
        if (command === "CONNECT" && served.number === 0) {
          served.say("CONNECTED", { version: "1.2", server: "RabbitMQ/3" });
          return true;
        }
        return command === "SUBSCRIBE";
      },
    }, async (url, connections) => {
      const main = await dialFirst(STOMP, parseStompAddress(url).servers);
      const checking = requireQueue(main, "q", {});
      await waitFor(() => connections[1]?.frames[1]?.command === "SUBSCRIBE", 5000, "the question");
      main.abort(new UnreachableError("lost"));
      await assert.rejects(deadline(checking, 5000, "the end of the check"), UnreachableError);
    });
  });
});
