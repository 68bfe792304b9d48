import { cases } from "../case.ts";
import { NAMES_HEADER } from "../differences.ts";

const ARGUMENTS = {
  "x-dead-letter-exchange": "amq.fanout",
  "x-dead-letter-routing-key": "k",
  "x-expires": "60000",
  "x-max-length": " 5 ",
  "x-max-length-bytes": "5000",
  "x-max-priority": "3",
  "x-message-ttl": "50000",
};

export const queues = cases("queue", {
  "arguments of SUBSCRIBE": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { id: "1", destination: `/queue/${queue}`, ...ARGUMENTS });
    const channel = await on.amqp();
    await channel.queue(queue, {
      "x-dead-letter-exchange": "amq.fanout",
      "x-dead-letter-routing-key": "k",
      "x-expires": 60000,
      "x-max-length": 5,
      "x-max-length-bytes": 5000,
      "x-max-priority": 3,
      "x-message-ttl": 50000,
    }, { durable: true });
  },
  "arguments of SEND": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SEND", { destination: `/queue/${queue}`, "x-max-length": "1" }, "a");
    await peer.call("SEND", { destination: `/queue/${queue}` }, "b");
    const channel = await on.amqp();
    await channel.ready(queue, 1);
    await channel.get(queue, true);
  },
  "a quorum queue": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", {
      id: "1",
      destination: `/queue/${queue}`,
      "x-queue-type": "quorum",
      ack: "client",
    });
    await peer.call("SEND", { destination: `/queue/${queue}` }, "a");
    const { headers } = await peer.take("MESSAGE");
    await peer.call("NACK", { id: headers["ack"]! });
    await peer.take("MESSAGE");
    const channel = await on.amqp();
    await channel.queue(queue, { "x-queue-type": "quorum" }, { durable: true });
  },
  "other arguments than those of the queue": async (on) => {
    const channel = await on.amqp();
    const queue = await channel.queue(on.name("q"), {}, { durable: true });
    await on.refused("SUBSCRIBE", { id: "1", destination: `/queue/${queue}`, "x-max-length": "5" });
  },
  "a queue that is not durable": async (on) => {
    const channel = await on.amqp();
    const queue = await channel.queue(on.name("q"));
    await on.refused("SEND", { destination: `/queue/${queue}` });
  },
  "an unknown type": (on) =>
    on.refused("SUBSCRIBE", { id: "1", destination: "/queue/x1", "x-queue-type": "other" }),
  "an argument that is not a number": [
    (on) => on.refused("SUBSCRIBE", { id: "1", destination: "/queue/x2", "x-expires": "soon" }),
    NAMES_HEADER,
  ],
  "durable:false - an exclusive queue": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { id: "1", destination: `/queue/${queue}`, durable: "false" });
    await on.refused("SUBSCRIBE", { id: "1", destination: `/amq/queue/${queue}` });
    await peer.close();
    const channel = await on.amqp();
    await channel.gone("queue", queue);
  },
  "persistent:false of SEND - an exclusive queue": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SEND", { destination: `/queue/${queue}`, persistent: "false" }, "a");
    await on.refused("SUBSCRIBE", { id: "1", destination: `/amq/queue/${queue}` });
  },
  "auto-delete:true - is deleted with its last subscription": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { id: "1", destination: `/queue/${queue}`, "auto-delete": "true" });
    await peer.call("UNSUBSCRIBE", { id: "1" });
    const channel = await on.amqp();
    await channel.gone("queue", queue);
  },
  "exclusive:true - is used by one connection": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { id: "1", destination: `/queue/${queue}`, exclusive: "true" });
    await on.refused("SUBSCRIBE", { id: "1", destination: `/amq/queue/${queue}` });
  },
  "the queue of a topic - is deleted with its subscription": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { id: "1", destination: `/topic/x`, "x-queue-name": queue });
    const channel = await on.amqp();
    await channel.queue(queue, {}, { passive: true });
    await peer.call("UNSUBSCRIBE", { id: "1" });
    await channel.gone("queue", queue);
  },
  "a missing exchange leaves no queue": async (on) => {
    const queue = on.name("q");
    await on.refused("SUBSCRIBE", { id: "1", destination: "/exchange/missing/k", "x-queue-name": queue });
    const channel = await on.amqp();
    await channel.gone("queue", queue);
  },
});
