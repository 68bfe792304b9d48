import { cases } from "../case.ts";

export const channel = cases("channel", {
  "open and close": async (on) => {
    const peer = await on.connect();
    await peer.use(1).call("channel.open");
    await peer.use(1).call("channel.close", { replyCode: 200, replyText: "done" });
  },
  "any channel number can be opened": async (on) => {
    const peer = await on.connect();
    for (const number of [7, 2047, 2]) await peer.use(number).call("channel.open");
    await peer.use(2047).queue(on.name("q"));
  },
  "a channel number can be reused after close": async (on) => {
    const peer = await on.connect();
    for (let round = 0; round < 3; round++) {
      await peer.use(1).call("channel.open");
      await peer.use(1).call("channel.close", { replyCode: 200 });
    }
  },
  "a channel number can be reused after an error": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.declare", { queue: on.name("missing"), passive: true });
    await channel.call("channel.open");
    await channel.queue(on.name("q"));
  },
  "open twice": async (on) => {
    const channel = await on.channel();
    await channel.refused(504, "channel.open");
  },
  "a method on a channel that is not open": async (on) => {
    const peer = await on.connect();
    await peer.use(3).refused(504, "queue.declare", { queue: on.name("q") });
  },
  "a publish on a channel that is not open": async (on) => {
    const peer = await on.connect();
    peer.use(3).publish("", on.name("q"), "body");
    await peer.zero.closed(504);
  },
  "close of a channel that is not open": async (on) => {
    const peer = await on.connect();
    await peer.use(3).refused(504, "channel.close", { replyCode: 200 });
  },
  "close-ok of a channel that is not open": [
    async (on) => {
      const peer = await on.connect();
      peer.use(3).send("channel.close-ok");
      // RabbitMQ detects this in another process, while it answers other methods.
      const closed = () => peer.received.find(({ name }) => name === "connection.close");
      for (let number = 10; number < 50 && closed() === undefined; number++) {
        await peer.use(number).call("channel.open", {}, true).catch(() => {});
      }
      const close = closed();
      on.note(close === undefined ? "ignored" : `${close.args["replyCode"]}`);
      for (const one of peer.received) one.hidden = true;
    },
    {
      why: "an unexpected close-ok is ignored",
      rabbit: /504/,
      ours: /ignored/,
    },
  ],
  "methods sent after an error are ignored": async (on) => {
    const channel = await on.channel();
    const queue = on.name("q");
    await channel.queue(queue);
    channel.send("queue.declare", { queue: on.name("missing"), passive: true });
    channel.publish("", queue, "late");
    channel.send("queue.purge", { queue });
    await channel.closed(404);
    await channel.call("channel.open");
    await channel.count(queue);
  },
  "both ends close at the same time": async (on) => {
    const channel = await on.channel();
    channel.send("queue.declare", { queue: on.name("missing"), passive: true });
    channel.send("channel.close", { replyCode: 200 });
    await channel.closed(404);
    await channel.call("channel.open");
    await channel.queue(on.name("q"));
  },
  "an error of a method without an answer": async (on) => {
    const channel = await on.channel();
    channel.send("exchange.declare", { exchange: "amq.mine", type: "direct", noWait: true });
    await channel.closed(403);
    await channel.call("channel.open");
    channel.send("basic.consume", { queue: on.name("missing"), noWait: true });
    await channel.closed(404);
  },
  "flow is active": async (on) => {
    const channel = await on.channel();
    await channel.call("channel.flow", { active: true });
  },
  "flow cannot be stopped": async (on) => {
    const channel = await on.channel();
    await channel.refused(540, "channel.flow", { active: false });
  },
  "close requeues unacknowledged messages": async (on) => {
    const queue = on.name("q");
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    await first.queue(queue);
    for (const body of ["a", "b", "c"]) first.publish("", queue, body);
    await first.consume(queue, { consumerTag: "me" });
    await first.deliveries(3);
    await first.close();
    await second.drain(queue);
  },
  "close cancels the consumers": async (on) => {
    const queue = on.name("q");
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    await first.queue(queue);
    await first.consume(queue, { consumerTag: "me" });
    await second.consumers(queue, 1);
    await first.close();
    await second.count(queue);
  },
  "access.request is granted": async (on) => {
    const channel = await on.channel();
    await channel.call("access.request", { realm: "/data", active: true, read: true });
  },
  "an error closes only its channel": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    await first.refused(404, "basic.consume", { queue: on.name("missing") });
    await second.queue(on.name("q"));
  },
});
