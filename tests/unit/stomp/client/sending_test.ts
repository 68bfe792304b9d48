/** How the STOMP client sends messages, and what receipts and errors mean for them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeProperties, NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import { UnreachableError } from "../../../../lib/errors.ts";
import { dialFirst } from "../../../../lib/link/dial.ts";
import { StompConnection } from "../../../../lib/stomp/client/connection.ts";
import type { Envelope } from "../../../../lib/link/message.ts";
import type { PortEvents } from "../../../../lib/link/port.ts";
import { SendHeads } from "../../../../lib/stomp/client/send_port.ts";
import { Sending } from "../../../../lib/stomp/client/sending.ts";
import { StompDecoder } from "../../../../lib/stomp/frame_decoder.ts";
import { STOMP } from "../../../../lib/stomp/client/protocol.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import type { StompVersion } from "../../../../lib/stomp/frame.ts";
import { deadline } from "../../../support/helpers.ts";
import { serveStomp } from "../../../support/scripted_stomp.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";

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
