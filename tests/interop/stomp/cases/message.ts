import { Timestamp, TypedNumber } from "../../../../lib/amqp/types/field_value.ts";
import type { StompVersion } from "../../../../lib/stomp/frame.ts";
import { cases, type Session } from "../case.ts";
import { NAMES_HEADER } from "../differences.ts";

const PROPERTIES = {
  "content-type": "text/x",
  "content-encoding": "identity",
  "correlation-id": "c",
  "amqp-message-id": "m",
  "app-id": "a",
  "user-id": "guest",
  "type": "t",
  "priority": " 3",
  "expiration": "60000",
  "timestamp": "1234567890",
  "persistent": "true",
  "user": "header",
};

/** Sends a message to a new queue, and receives it with STOMP. */
function roundTrip(version: StompVersion, headers: Readonly<Record<string, string>>) {
  return async (on: Session) => {
    const peer = await on.connect(version);
    const destination = `/queue/${on.name("q")}`;
    await peer.call("SUBSCRIBE", { id: "1", destination });
    await peer.call("SEND", { destination, ...headers }, "é\0");
    await peer.take("MESSAGE");
  };
}

const FORGED =
  "headers of AMQP messages that only the server writes in a MESSAGE frame are left out; RabbitMQ adds them";

export const messages = cases("message", {
  "properties - come back": roundTrip("1.2", PROPERTIES),
  "properties - are AMQP's": async (on) => {
    const peer = await on.connect();
    const channel = await on.amqp();
    const queue = on.name("q");
    await peer.call("SEND", { destination: `/queue/${queue}`, ...PROPERTIES }, "body");
    await channel.ready(queue, 1);
    await channel.get(queue, true);
  },
  "AMQP's properties - are headers": async (on) => {
    const peer = await on.connect();
    const channel = await on.amqp();
    const queue = await channel.queue(on.name("q"), {}, { durable: true });
    await peer.call("SUBSCRIBE", { id: "1", destination: `/queue/${queue}` });
    channel.publish("", queue, "body", {
      contentType: "text/x",
      contentEncoding: "identity",
      deliveryMode: 2,
      priority: 4,
      correlationId: "c",
      replyTo: "r",
      expiration: "50000",
      messageId: "m",
      timestamp: 1234567890,
      type: "t",
      userId: "guest",
      appId: "a",
      headers: { text: "x", int: 5, long: 1n << 40n, "content-length": "7", empty: "" },
    });
    await peer.take("MESSAGE");
  },
  "AMQP's headers of other types": [async (on) => {
    const peer = await on.connect();
    const channel = await on.amqp();
    const queue = await channel.queue(on.name("q"), {}, { durable: true });
    await peer.call("SUBSCRIBE", { id: "1", destination: `/queue/${queue}` });
    channel.publish("", queue, "body", {
      headers: {
        "z-bool": true,
        "z-byte": new TypedNumber("b", 5),
        "z-double": 1.5,
        "z-time": new Timestamp(5),
        "z-table": { a: 1 },
        "z-list": [1],
        "z-null": null,
      },
    });
    await peer.take("MESSAGE");
  }, {
    why:
      "headers that are booleans, timestamps, or numbers of other types are sent as text; RabbitMQ leaves them out",
    ours: / z-bool="true" z-byte="5" z-double="1\.5" z-time="5"/,
  }],
  "AMQP's headers with the names of a frame's": [
    async (on) => {
      const peer = await on.connect("1.0");
      const channel = await on.amqp();
      const queue = await channel.queue(on.name("q"), {}, { durable: true });
      await peer.call("SUBSCRIBE", { destination: `/queue/${queue}` });
      const names = ["destination", "message-id", "subscription", "redelivered", "ack", "receipt"];
      channel.publish("", queue, "body", {
        headers: Object.fromEntries(names.map((name) => [name, "forged"])),
      });
      await peer.take("MESSAGE");
    },
    { why: FORGED, rabbit: / ack="forged"/ },
    { why: FORGED, rabbit: / subscription="forged"/ },
  ],
  "a transient message has no header persistent": roundTrip("1.2", { durable: "true", persistent: "true" }),
  "escapes of 1.2": roundTrip("1.2", { "a:b": "c:d", lines: "1\n2\r3", back: "\\n\\" }),
  "escapes of 1.1": roundTrip("1.1", { "a:b": "c:d", lines: "1\n2", back: "\\n\\" }),
  "no escapes in 1.0": [roundTrip("1.0", { name: "c:d" }), {
    why: "STOMP 1.0 has no escapes; RabbitMQ uses those of 1.2 in all versions",
    rabbit: / name="c\\\\cd"/,
    ours: / name="c:d"/,
  }],
  "repeated headers - the first counts": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { id: "1", destination: `/queue/${queue}` });
    peer.raw(`SEND\ndestination:/queue/${queue}\nfoo:first\nfoo:second\n\nx\0`);
    await peer.take("MESSAGE");
  },
  "a body without a length ends at the NUL": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { id: "1", destination: `/queue/${queue}` });
    peer.raw(`SEND\r\ndestination:/queue/${queue}\r\n\r\na\r\nb\n\0\n\n`);
    await peer.take("MESSAGE");
  },
  "an empty body": roundTrip("1.2", {}),
  "a priority that is not a number": [
    (on) => on.refused("SEND", { destination: "/topic/x", priority: "high" }),
    NAMES_HEADER,
  ],
  "a priority out of range": [async (on) => {
    const peer = await on.connect();
    peer.send("SEND", { destination: "/topic/x", priority: "300" });
    peer.send("DISCONNECT", { receipt: "end" });
    await peer.closed;
  }, {
    why: "a priority over 255 is refused; RabbitMQ cuts it to 8 bits",
    rabbit: /1 RECEIPT receipt-id="end"/,
    ours: /1 ERROR .*Invalid header.*/,
  }],
  "an expiration that is not a number": [
    (on) => on.refused("SEND", { destination: "/topic/x", expiration: "soon" }),
    {
      why: "errors about an expiration have a plain text, not Erlang terms",
      rabbit: /"PRECONDITION_FAILED - .*/,
      ours: /"PRECONDITION_FAILED - .*/,
    },
  ],
  "another user-id": (on) => on.refused("SEND", { destination: "/topic/x", "user-id": "bob" }),
  "the receipt of a refused frame": [async (on) => {
    await on.refused("SEND", { destination: "/unknown", receipt: "r" });
  }, {
    why: "an ERROR frame has the receipt-id of the refused frame, as the specification recommends",
    ours: / receipt-id="r"/,
  }],
  "a request with direct reply-to, answered with STOMP": async (on) => {
    const client = await on.amqp();
    const server = await on.connect();
    const queue = on.name("q");
    await server.call("SUBSCRIBE", { id: "1", destination: `/queue/${queue}` });
    await client.consume("amq.rabbitmq.reply-to", { consumerTag: "me", noAck: true });
    client.publish("", queue, "question", { replyTo: "amq.rabbitmq.reply-to", correlationId: "1" });
    const { headers } = await server.take("MESSAGE");
    server.received.length = 0;
    await server.call("SEND", { destination: headers["reply-to"]!, "correlation-id": "1" }, "answer");
    const { args: { routingKey }, text } = await client.delivery();
    on.note(`${headers["reply-to"] === `/reply-queue/${routingKey}`} ${text}`);
    for (const one of client.peer.received) one.hidden = true;
  },
});

const TOPICAL = { login: "topical", passcode: "topical" };

export const permissions = cases("permissions", {
  "topic permissions": async (on) => {
    const frames = [
      ["SUBSCRIBE", { id: "1", destination: "/topic/bad" }],
      ["SUBSCRIBE", { id: "1", destination: "/exchange/amq.topic/bad" }],
      ["SEND", { destination: "/topic/bad" }],
      ["SEND", { destination: "/exchange/amq.topic/bad" }],
    ] as const;
    for (const [command, headers] of frames) {
      const peer = await on.connect("1.2", TOPICAL);
      peer.send(command, headers);
      await peer.take("ERROR");
    }
    const peer = await on.connect("1.2", TOPICAL);
    await peer.call("SUBSCRIBE", { id: "1", destination: "/topic/ok" });
    await peer.call("SEND", { destination: "/topic/ok" }, "a");
    await peer.take("MESSAGE");
  },
  "configure": async (on) => {
    const peer = await on.connect("1.2", { login: "limited", passcode: "limited" });
    peer.send("SEND", { destination: "/queue/forbidden" });
    await peer.take("ERROR");
  },
  "write": async (on) => {
    const peer = await on.connect("1.2", { login: "limited", passcode: "limited" });
    peer.send("SEND", { destination: "/exchange/amq.fanout" });
    await peer.take("ERROR");
  },
  "read": async (on) => {
    const channel = await on.amqp();
    const queue = await channel.queue(on.name("q.in"));
    const peer = await on.connect("1.2", { login: "limited", passcode: "limited" });
    peer.send("SUBSCRIBE", { id: "1", destination: `/amq/queue/${queue}` });
    await peer.take("ERROR");
  },
  "a topic": async (on) => {
    const peer = await on.connect("1.2", { login: "limited", passcode: "limited" });
    peer.send("SUBSCRIBE", { id: "1", destination: "/topic/x", "x-queue-name": on.name("q.own") });
    await peer.take("ERROR");
  },
});
