import { PROTOCOL_HEADER } from "../../../../lib/amqp/frames/frame.ts";
import { table } from "../../../../lib/amqp/types/table.ts";
import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import { DEADLINE } from "../../../support/helpers.ts";
import { cases, type Script } from "../case.ts";
import { hangsUp, IN_WORDS } from "../differences.ts";
import { CAPABILITIES, type LoginOptions } from "../peer.ts";

const utf8 = new TextEncoder();
const latin1 = new TextDecoder("latin1");

/** AMQPLAIN's response: a table without its length. */
function amqplain(login: FieldTable): Uint8Array {
  const bytes = new Uint8Array(table.sizeof(login, "login"));
  table.encode(login, bytes, 0);
  return bytes.subarray(4);
}

/** What becomes of a login. */
const login = (options: LoginOptions): Script => async (on) => {
  const peer = await on.dial();
  await peer.login(options).catch(() => {});
  peer.received[0]!.hidden = true;
  if (peer.received.length === 1) await peer.ended();
};

/** A beginning that is not that of AMQP 0-9-1. */
const strange = (bytes: Uint8Array): Script => async (on) => {
  const peer = await on.dial();
  peer.bytes(bytes);
  await peer.ended();
};

/** What comes of a tuning. */
const tuned = (tune: LoginOptions): Script => async (on) => {
  const peer = await on.dial();
  await peer.login(tune);
  peer.zero.send("connection.open", { virtualHost: "/" });
  await peer.until(() => peer.received.length > 2, "an answer to connection.open");
  peer.received[0]!.hidden = true;
};

export const connection = cases("connection", {
  "a client that says nothing is left": async (on) => {
    const peer = await on.dial();
    await peer.ended(2 * DEADLINE);
  },
  "a client that says nothing behind the header is left": async (on) => {
    const peer = await on.dial();
    await peer.start();
    peer.received[0]!.hidden = true;
    await peer.ended(2 * DEADLINE);
  },
  "what the server says of itself": [async (on) => {
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
    why: "the capability x-mqcat-peek: queues can be looked into without a trace",
    ours: /, x-mqcat-peek true/,
  }],
  "what is proposed": async (on) => {
    const peer = await on.dial();
    await peer.login();
    await peer.openHost();
    peer.received[0]!.hidden = true;
  },
  "a stranger's bytes are answered with the protocol header": strange(utf8.encode("GET / HTTP/1.1\r\n\r\n")),
  "AMQP 0-10 is answered with the protocol header": strange(
    Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 1, 1, 0, 10),
  ),
  "AMQP 1.9 is answered with the protocol header": strange(Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 1, 9, 0)),
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
      why: "AMQP 0-9-1 is the one version that is spoken",
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
    hangsUp(501),
  ],
  "PLAIN with a wrong password": login({ password: "wrong" }),
  "PLAIN with an unknown user": login({ user: "whoever" }),
  "PLAIN with an empty password": login({ password: "" }),
  "PLAIN of one part": [login({ response: utf8.encode("guest") }), hangsUp(501)],
  "PLAIN with an identity to act for": [
    login({ response: utf8.encode("somebody\0guest\0guest") }),
    hangsUp(501),
  ],
  "a wrong password without authentication_failure_close": login({ password: "wrong", clientProperties: {} }),
  "the stream ends behind close and close-ok": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "channel.open");
    await peer.ended();
  },
  "an unknown mechanism": [login({ mechanism: "SCRAM-SHA-256" }), hangsUp(503)],
  "the mechanism EXTERNAL": [login({ mechanism: "EXTERNAL" }), hangsUp(503)],
  "an empty locale": async (on) => void await (await on.connect({ locale: "" })).channel(),
  "a foreign locale": async (on) => void await (await on.connect({ locale: "de_DE" })).channel(),
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
  "a virtual host that is closed to the user": async (on) => {
    const peer = await on.dial();
    await peer.login({ user: "nobody", password: "nobody" });
    peer.received[0]!.hidden = true;
    await peer.zero.refused(530, "connection.open", { virtualHost: "/" });
  },
  "another virtual host has queues of its own": async (on) => {
    const queue = on.name("q");
    const here = await on.channel();
    const there = await on.channel({ vhost: "other" });
    await here.queue(queue);
    await there.refused(404, "queue.declare", { queue, passive: true });
  },
  "a second header is no frame": [
    async (on) => {
      const peer = await on.connect();
      peer.bytes(PROTOCOL_HEADER);
      await peer.zero.closed(501);
    },
    IN_WORDS,
  ],
  "tuned: frame_max over the server's": [tuned({ frameMax: 131073 }), hangsUp(530)],
  "tuned: frame_max 0": [
    tuned({ frameMax: 0 }),
    {
      why: "a frame_max of 0 leaves the limit to the server, RabbitMQ hangs up",
      rabbit: /1\.0 end/,
      ours: /1\.0 connection\.open-ok/,
    },
  ],
  "tuned: frame_max under the smallest": [tuned({ frameMax: 4095 }), hangsUp(530)],
  "tuned: the smallest frame_max": tuned({ frameMax: 4096 }),
  "tuned: channel_max over the server's": [tuned({ channelMax: 2048 }), hangsUp(530)],
  "tuned: channel_max 0 is no limit, which is over the server's": [tuned({ channelMax: 0 }), hangsUp(530)],
  "tuned: heartbeat over the server's": tuned({ heartbeat: 120 }),
  "channels up to channel_max": [
    async (on) => {
      const peer = await on.connect({ channelMax: 3 });
      for (const number of [1, 2, 2047]) await peer.use(number).call("channel.open");
      await peer.use(4).refused(530, "channel.open");
    },
    {
      why: "the method that is refused is named",
      rabbit: /classId=0 methodId=0/,
      ours: /classId=20 methodId=10/,
    },
  ],
  "channel_max counts those that are open": async (on) => {
    const peer = await on.connect({ channelMax: 1 });
    for (let number = 1; number <= 3; number++) {
      await peer.use(number).call("channel.open");
      await peer.use(number).close();
    }
  },
  "a message goes in frames of frame_max": async (on) => {
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
    IN_WORDS,
  ],
  "open twice": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "connection.open", { virtualHost: "/" });
  },
  "tune-ok twice": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "connection.tune-ok", { frameMax: 131072, channelMax: 2047 });
  },
  "start-ok is expected before all else": [
    async (on) => {
      const peer = await on.dial();
      await peer.start();
      peer.received[0]!.hidden = true;
      peer.zero.send("connection.open", { virtualHost: "/" });
      await peer.ended();
    },
    hangsUp(503),
  ],
  "a channel before the connection is open": [
    async (on) => {
      const peer = await on.dial();
      await peer.login();
      peer.received[0]!.hidden = true;
      peer.use(1).send("channel.open");
      await peer.ended();
    },
    IN_WORDS,
  ],
  "a method of a channel on channel 0": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "channel.open");
  },
  "a method of the connection on a channel": async (on) => {
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
  "both ends close at once": async (on) => {
    const peer = await on.connect();
    peer.zero.send("connection.tune-ok", {});
    peer.zero.send("connection.close", { replyCode: 200 });
    await peer.zero.closed(504);
    await peer.ended();
  },
  "what comes behind a close is passed over": async (on) => {
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
  "a new secret": async (on) => {
    const peer = await on.connect();
    await peer.zero.call("connection.update-secret", { newSecret: utf8.encode("guest"), reason: "renewed" });
    await peer.channel();
  },
  "blocked and unblocked of a client are not for the server": async (on) => {
    const peer = await on.connect();
    await peer.zero.refused(504, "connection.blocked", { reason: "mine" });
  },
  "heartbeats come, and answer nothing": async (on) => {
    const peer = await on.connect({ heartbeat: 1 });
    peer.heartbeat();
    await peer.until(() => {
      if (peer.heartbeats < 2) return false;
      peer.heartbeat();
      return true;
    }, "two heartbeats");
    await peer.channel();
  },
  "a client that is silent is left": async (on) => {
    const peer = await on.connect({ heartbeat: 1 });
    await peer.ended();
  },
  "heartbeats that were not agreed on": async (on) => {
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
    IN_WORDS,
  ],
  "a heartbeat with a payload": [
    async (on) => {
      const peer = await on.connect();
      peer.frame(8, 0, new Uint8Array(1));
      await peer.zero.closed(501);
    },
    IN_WORDS,
  ],
  "capabilities of the client": async (on) => {
    await (await on.connect({ clientProperties: { capabilities: { ...CAPABILITIES, unheard_of: true } } }))
      .channel();
  },
});
