import { PROTOCOL_HEADER } from "../../../../lib/amqp/frames/frame.ts";
import { table } from "../../../../lib/amqp/types/table.ts";
import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import { DEADLINE } from "../../../support/helpers.ts";
import { cases, type Script } from "../case.ts";
import { closesWithoutReason, FRAME_ERROR_TEXT } from "../differences.ts";
import { CAPABILITIES, type LoginOptions } from "../peer.ts";

const utf8 = new TextEncoder();
const latin1 = new TextDecoder("latin1");

/** Encodes an AMQPLAIN response: a table without its length. */
function amqplain(login: FieldTable): Uint8Array {
  const bytes = new Uint8Array(table.sizeof(login, "login"));
  table.encode(login, bytes, 0);
  return bytes.subarray(4);
}

/** Notes the result of a login. */
const login = (options: LoginOptions): Script => async (on) => {
  const peer = await on.dial();
  await peer.login(options).catch(() => {});
  peer.received[0]!.hidden = true;
  if (peer.received.length === 1) await peer.ended();
};

/** Sends bytes that are not the header of AMQP 0-9-1. */
const strange = (bytes: Uint8Array): Script => async (on) => {
  const peer = await on.dial();
  peer.bytes(bytes);
  await peer.ended();
};

/** Notes the result of a tune-ok. */
const tuned = (tune: LoginOptions): Script => async (on) => {
  const peer = await on.dial();
  await peer.login(tune);
  peer.zero.send("connection.open", { virtualHost: "/" });
  await peer.until(() => peer.received.length > 2, "an answer to connection.open");
  peer.received[0]!.hidden = true;
};

export const connection = cases("connection", {
  "a client that sends nothing is disconnected": async (on) => {
    const peer = await on.dial();
    await peer.ended(2 * DEADLINE);
  },
  "a client that sends only the header is disconnected": async (on) => {
    const peer = await on.dial();
    await peer.start();
    peer.received[0]!.hidden = true;
    await peer.ended(2 * DEADLINE);
  },
  "the server's properties in connection.start": [async (on) => {
    const peer = await on.dial();
    const start = await peer.start();
    const capabilities = Object.entries(start.serverProperties["capabilities"] as FieldTable).sort();
    on.note(`${start.versionMajor}-${start.versionMinor} locales ${latin1.decode(start.locales)}`);
    on.note(`capabilities ${capabilities.map(([name, value]) => `${name} ${value}`).join(", ")}`);
    on.note(`mechanisms ${latin1.decode(start.mechanisms).split(" ").sort().join(", ")}`);
    const known = ["capabilities", "platform", "product", "version"];
    on.note(`properties ${known.filter((name) => name in start.serverProperties).join(", ")}`);
    peer.received[0]!.hidden = true;
    peer.cut();
  }, {
    why: "the capability x-mqcat-peek allows reading a queue without changing it",
    ours: /, x-mqcat-peek true/,
  }, {
    why:
      "the capability x-mqcat-dump allows reading all messages of a queue, and putting messages back with their exchange",
    ours: /, x-mqcat-dump true/,
  }, {
    why:
      "the capability x-mqcat-where allows filters of consumers, and counting, deleting and moving messages in place",
    ours: /, x-mqcat-where true/,
  }],
  "the proposed tuning": async (on) => {
    const peer = await on.dial();
    await peer.login();
    await peer.openHost();
    peer.received[0]!.hidden = true;
  },
  "the answer to unknown bytes is the protocol header": strange(utf8.encode("GET / HTTP/1.1\r\n\r\n")),
  "the answer to AMQP 0-10 is the protocol header": strange(
    Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 1, 1, 0, 10),
  ),
  "the answer to AMQP 1.9 is the protocol header": strange(Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 1, 9, 0)),
  "AMQP 0-9 without revision": [
    async (on) => {
      const peer = await on.dial();
      peer.bytes(Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 1, 1, 0, 9));
      await peer.until(() => peer.over || peer.received.length > 0, "an answer");
      const [first] = peer.received;
      on.note(`answer: ${first!.name === "header" ? "the protocol header" : first!.name}`);
      first!.hidden = true;
      peer.cut();
    },
    {
      why: "AMQP 0-9-1 is the only supported version",
      rabbit: /answer: connection.start/,
      ours: /answer: the protocol header/,
    },
  ],
  "the header in pieces": async (on) => {
    const peer = await on.dial();
    for (const byte of PROTOCOL_HEADER) peer.bytes(Uint8Array.of(byte));
    await peer.zero.take("connection.start");
    peer.received[0]!.hidden = true;
    peer.cut();
  },
  "login with AMQPLAIN": async (on) => {
    const response = amqplain({ LOGIN: "guest", PASSWORD: "guest" });
    await (await on.connect({ mechanism: "AMQPLAIN", response })).channel();
  },
  "AMQPLAIN with a wrong password": login({
    mechanism: "AMQPLAIN",
    response: amqplain({ LOGIN: "guest", PASSWORD: "wrong" }),
  }),
  "AMQPLAIN without a password": [
    login({ mechanism: "AMQPLAIN", response: amqplain({ LOGIN: "guest" }) }),
    closesWithoutReason(501),
  ],
  "PLAIN with a wrong password": login({ password: "wrong" }),
  "PLAIN with an unknown user": login({ user: "whoever" }),
  "PLAIN with an empty password": login({ password: "" }),
  "PLAIN with one part": [login({ response: utf8.encode("guest") }), closesWithoutReason(501)],
  "PLAIN with an authorization identity": [
    login({ response: utf8.encode("somebody\0guest\0guest") }),
    closesWithoutReason(501),
  ],
  "a wrong password without authentication_failure_close": login({ password: "wrong", clientProperties: {} }),
  "the stream ends after close and close-ok": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "channel.open");
    await peer.ended();
  },
  "an unknown mechanism": [login({ mechanism: "SCRAM-SHA-256" }), closesWithoutReason(503)],
  "the mechanism EXTERNAL": [login({ mechanism: "EXTERNAL" }), closesWithoutReason(503)],
  "an empty locale": async (on) => void await (await on.connect({ locale: "" })).channel(),
  "an unsupported locale": async (on) => void await (await on.connect({ locale: "de_DE" })).channel(),
  "a missing virtual host": async (on) => {
    const peer = await on.dial();
    await peer.login();
    peer.received[0]!.hidden = true;
    await peer.zero.refused(530, "connection.open", { virtualHost: "missing" });
  },
  "an empty virtual host": async (on) => {
    const peer = await on.dial();
    await peer.login();
    peer.received[0]!.hidden = true;
    await peer.zero.refused(530, "connection.open", { virtualHost: "" });
  },
  "a virtual host without permissions for the user": async (on) => {
    const peer = await on.dial();
    await peer.login({ user: "nobody", password: "nobody" });
    peer.received[0]!.hidden = true;
    await peer.zero.refused(530, "connection.open", { virtualHost: "/" });
  },
  "virtual hosts have separate queues": async (on) => {
    const queue = on.name("q");
    const here = await on.channel();
    const there = await on.channel({ vhost: "other" });
    await here.queue(queue);
    await there.refused(404, "queue.declare", { queue, passive: true });
  },
  "a second protocol header is not a frame": [
    async (on) => {
      const peer = await on.connect();
      peer.bytes(PROTOCOL_HEADER);
      await peer.zero.closed(501);
    },
    FRAME_ERROR_TEXT,
  ],
  "tuned: frame_max over the server's": [tuned({ frameMax: 131073 }), closesWithoutReason(530)],
  "tuned: frame_max 0": [
    tuned({ frameMax: 0 }),
    {
      why: "a frame_max of 0 means no limit by the client; RabbitMQ closes the connection",
      rabbit: /1\.0 end/,
      ours: /1\.0 connection\.open-ok/,
    },
  ],
  "tuned: frame_max under the minimum": [tuned({ frameMax: 4095 }), closesWithoutReason(530)],
  "tuned: the minimum frame_max": tuned({ frameMax: 4096 }),
  "tuned: channel_max over the server's": [tuned({ channelMax: 2048 }), closesWithoutReason(530)],
  "tuned: channel_max 0 means no limit, over the server's": [
    tuned({ channelMax: 0 }),
    closesWithoutReason(530),
  ],
  "tuned: heartbeat over the server's": tuned({ heartbeat: 120 }),
  "channels up to channel_max": [
    async (on) => {
      const peer = await on.connect({ channelMax: 3 });
      for (const number of [1, 2, 2047]) await peer.use(number).call("channel.open");
      await peer.use(4).refused(530, "channel.open");
    },
    {
      why: "the close names the refused method",
      rabbit: /classId=0 methodId=0/,
      ours: /classId=20 methodId=10/,
    },
  ],
  "channel_max limits the open channels": async (on) => {
    const peer = await on.connect({ channelMax: 1 });
    for (let number = 1; number <= 3; number++) {
      await peer.use(number).call("channel.open");
      await peer.use(number).close();
    }
  },
  "a message is sent in frames of frame_max": async (on) => {
    const queue = on.name("q");
    const channel = await on.channel({ frameMax: 4096 });
    await channel.queue(queue);
    channel.publish("", queue, new Uint8Array(20_000).fill(65));
    await channel.get(queue);
  },
  "a frame over frame_max": [
    async (on) => {
      const peer = await on.connect({ frameMax: 4096 });
      const channel = await peer.channel();
      channel.send("basic.publish", { routingKey: "none" });
      peer.header(1, 10_000);
      peer.body(1, new Uint8Array(5000));
      await channel.closed(501);
    },
    FRAME_ERROR_TEXT,
  ],
  "open twice": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "connection.open", { virtualHost: "/" });
  },
  "tune-ok twice": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "connection.tune-ok", { frameMax: 131072, channelMax: 2047 });
  },
  "a method before start-ok": [
    async (on) => {
      const peer = await on.dial();
      await peer.start();
      peer.received[0]!.hidden = true;
      peer.zero.send("connection.open", { virtualHost: "/" });
      await peer.ended();
    },
    closesWithoutReason(503),
  ],
  "a channel before the connection is open": [
    async (on) => {
      const peer = await on.dial();
      await peer.login();
      peer.received[0]!.hidden = true;
      peer.use(1).send("channel.open");
      await peer.ended();
    },
    FRAME_ERROR_TEXT,
  ],
  "a channel method on channel 0": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "channel.open");
  },
  "a connection method on a channel": async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    channel.send("connection.close", { replyCode: 200 });
    await channel.closed(503);
  },
  "close with a reason": async (on) => {
    const peer = await on.connect();
    const reason = { replyCode: 320, replyText: "going", classId: 10, methodId: 10 };
    await peer.zero.call("connection.close", reason);
  },
  "close with open channels": async (on) => {
    const peer = await on.connect();
    await peer.channel();
    await peer.channel();
    await peer.zero.call("connection.close", { replyCode: 200 });
  },
  "both ends close at the same time": async (on) => {
    const peer = await on.connect();
    peer.zero.send("connection.tune-ok", {});
    peer.zero.send("connection.close", { replyCode: 200 });
    await peer.zero.closed(504);
    await peer.ended();
  },
  "methods after a close are ignored": async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    const q = await channel.queue(on.name("q"));
    peer.zero.send("connection.close", { replyCode: 200 });
    channel.publish("", q, "late");
    channel.send("queue.delete", { queue: q });
    await peer.zero.take("connection.close-ok");
    const other = await on.channel();
    await other.queue(q, {}, { passive: true });
  },
  "connection.update-secret": async (on) => {
    const peer = await on.connect();
    await peer.zero.call("connection.update-secret", { newSecret: utf8.encode("guest"), reason: "renewed" });
    await peer.channel();
  },
  "connection.blocked and unblocked from a client": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "connection.blocked", { reason: "mine" });
  },
  "heartbeats are sent regularly and do not answer the client's": async (on) => {
    const peer = await on.connect({ heartbeat: 1 });
    peer.heartbeat();
    await peer.until(() => {
      if (peer.heartbeats < 2) return false;
      peer.heartbeat();
      return true;
    }, "two heartbeats");
    await peer.channel();
  },
  "a client that sends no heartbeats is disconnected": async (on) => {
    const peer = await on.connect({ heartbeat: 1 });
    await peer.ended();
  },
  "heartbeats without negotiation": async (on) => {
    const peer = await on.connect({ heartbeat: 0 });
    peer.heartbeat();
    await peer.channel();
  },
  "a heartbeat on a channel": [
    async (on) => {
      const peer = await on.connect();
      await peer.channel();
      peer.frame(8, 1, new Uint8Array(0));
      await peer.zero.closed(505);
    },
    FRAME_ERROR_TEXT,
  ],
  "a heartbeat with a payload": [
    async (on) => {
      const peer = await on.connect();
      peer.frame(8, 0, new Uint8Array(1));
      await peer.zero.closed(501);
    },
    FRAME_ERROR_TEXT,
  ],
  "client capabilities": async (on) => {
    await (await on.connect({ clientProperties: { capabilities: { ...CAPABILITIES, unheard_of: true } } }))
      .channel();
  },
  "after close-ok the client closes the stream; the server waits for a heartbeat interval": async (on) => {
    const peer = await on.connect({ heartbeat: 1 });
    await peer.zero.call("connection.close", { replyCode: 200 });
    const since = performance.now();
    await peer.ended();
    on.note(performance.now() - since > 500 ? "the server waited" : "the server closed at once");
  },
});
