import { cases } from "../case.ts";

/** SEND to a destination that is refused. */
const sendTo = (destination: string) =>
  cases("destination", {
    [`SEND to '${destination}'`]: (on) => on.refused("SEND", { destination }),
  });

const INVALID = [
  "",
  "/",
  "/queue",
  "/queue/",
  "/queue/a/b",
  "/topic",
  "/topic/a/b",
  "/exchange",
  "/exchange/",
  "/exchange//key",
  "/exchange/a/b/c",
  "/amq/queue",
  "/amq/queue/",
  "/amq/other/x",
  "/reply-queue",
  "/reply-queue/",
  "/temp-queue/x",
  "/temp-queue",
  "/unknown/x",
  "unknown/x",
];

export const destinations = [
  ...INVALID.flatMap(sendTo),
  ...cases("destination", {
    "SEND without a destination": (on) => on.refused("SEND"),
    "SUBSCRIBE without a destination": (on) => on.refused("SUBSCRIBE", { id: "1" }),
    "SUBSCRIBE to a temporary queue": (on) =>
      on.refused("SUBSCRIBE", { id: "1", destination: "/temp-queue/x" }),
    "SEND with a message-id": (on) => on.refused("SEND", { destination: "/queue/x", "message-id": "1" }),
    "a queue is made by SEND": async (on) => {
      const peer = await on.connect();
      const queue = on.name("q");
      await peer.call("SEND", { destination: `/queue/${queue}` }, "a");
      const channel = await on.amqp();
      await channel.queue(queue, {}, { durable: true });
      peer.send("SUBSCRIBE", { id: "1", destination: `/queue/${queue}` });
      await peer.take("MESSAGE");
    },
    "a name without a prefix is a queue": async (on) => {
      const peer = await on.connect();
      const queue = on.name("q");
      await peer.call("SEND", { destination: queue }, "a");
      peer.send("SUBSCRIBE", { id: "1", destination: `/amq/queue/${queue}` });
      await peer.take("MESSAGE");
    },
    "a slash in a name is escaped": async (on) => {
      const peer = await on.connect();
      const queue = on.name("a/b%c é");
      await peer.call("SEND", { destination: `/queue/${queue.replace("/", "%2F")}` }, "a");
      const channel = await on.amqp();
      await channel.queue(queue, {}, { passive: true });
      peer.send("SUBSCRIBE", { id: "1", destination: `/queue/${queue.replace("/", "%2F")}` });
      await peer.take("MESSAGE");
    },
    "a missing queue": (on) => on.refused("SUBSCRIBE", { id: "1", destination: "/amq/queue/missing" }),
    "SEND to a missing queue is dropped": async (on) => {
      const peer = await on.connect();
      await peer.call("SEND", { destination: "/amq/queue/missing" }, "a");
    },
    "SUBSCRIBE to a missing exchange": (on) =>
      on.refused("SUBSCRIBE", { id: "1", destination: "/exchange/missing/k" }),
    "SEND to a missing exchange": (on) => on.refused("SEND", { destination: "/exchange/missing/k" }),
    "SEND to the default exchange by its name": (on) =>
      on.refused("SEND", { destination: "/exchange/amq.default/k" }),
    "exchanges, with and without a key": async (on) => {
      const peer = await on.connect();
      const channel = await on.amqp();
      const exchange = await channel.exchange(on.name("x/y"), "topic");
      const destination = `/exchange/${exchange.replace("/", "%2F")}`;
      await peer.call("SUBSCRIBE", { id: "all", destination: `${destination}/#` });
      await peer.call("SUBSCRIBE", { id: "none", destination });
      await peer.call("SEND", { destination }, "no key");
      await peer.take("MESSAGE");
      await peer.take("MESSAGE");
      await peer.call("SEND", { destination: `${destination}/a.b%2Fc` }, "a key");
      await peer.take("MESSAGE");
      const bodies = peer.received.filter(({ command }) => command === "MESSAGE").map(({ headers, text }) =>
        `${headers["subscription"]} ${headers["destination"]} ${text}`
      );
      for (const body of bodies.sort()) on.note(body);
      peer.received.length = 0;
    },
    "topics reach every subscription, with patterns": async (on) => {
      const one = await on.connect();
      const two = await on.connect("1.1");
      const key = `${on.nonce}a.b`;
      await one.call("SUBSCRIBE", { id: "1", destination: `/topic/${on.nonce}*.b` });
      await two.call("SUBSCRIBE", { id: "2", destination: `/topic/${on.nonce}#` });
      await two.call("SUBSCRIBE", { id: "3", destination: `/topic/${on.nonce}c` });
      await one.call("SEND", { destination: `/topic/${key}` }, "to both");
      await one.take("MESSAGE");
      await two.take("MESSAGE");
    },
    "reply queues": async (on) => {
      const client = await on.connect();
      const server = await on.connect();
      const queue = on.name("q");
      await server.call("SUBSCRIBE", { id: "s", destination: `/queue/${queue}` });
      const headers = {
        destination: `/queue/${queue}`,
        "reply-to": "/temp-queue/mine",
        "correlation-id": "7",
      };
      await client.call("SEND", headers, "question");
      const question = await server.take("MESSAGE");
      await server.call("SEND", { destination: question.headers["reply-to"]! }, "answer");
      await client.take("MESSAGE");
      // The queue is used again.
      await client.call("SEND", headers, "question");
      const second = await server.take("MESSAGE");
      if (second.headers["reply-to"] !== question.headers["reply-to"]) throw new Error("Another queue");
    },
    "a reply address that is a destination stays": async (on) => {
      const peer = await on.connect();
      const queue = on.name("q");
      await peer.call("SUBSCRIBE", { id: "s", destination: `/queue/${queue}` });
      for (const replyTo of ["/queue/r", "/topic/t", "/exchange/x/k", "/amq/queue/r", "plain"]) {
        await peer.call("SEND", { destination: `/queue/${queue}`, "reply-to": replyTo });
        await peer.take("MESSAGE");
      }
    },
  }),
];
