import { cases } from "../case.ts";

/** The pseudo-queue for direct replies: a reply is delivered on the channel of the request. */
const REPLIES = "amq.rabbitmq.reply-to";

export const directReply = cases("direct reply-to", {
  "a request and its reply": async (on) => {
    const client = await on.channel();
    const server = await on.channel();
    const q = await server.queue(on.name("q"));
    await client.consume(REPLIES, { consumerTag: "me", noAck: true });
    client.publish("", q, "question", { replyTo: REPLIES, correlationId: "1" });
    await server.ready(q, 1);
    const question = await server.get(q);
    server.publish("", question!.properties!.replyTo!, "answer", { correlationId: "1" });
    const answer = await client.delivery();
    if (answer.args["routingKey"] !== question!.properties!.replyTo) throw new Error("Another key");
    server.publish("", question!.properties!.replyTo!, "second answer");
    await client.delivery();
  },
  "with acknowledgement": async (on) => {
    const channel = await on.channel();
    await channel.refused(406, "basic.consume", { queue: REPLIES });
  },
  "a second consumer is refused": async (on) => {
    const channel = await on.channel();
    await channel.consume(REPLIES, { consumerTag: "a", noAck: true });
    await channel.refused(406, "basic.consume", { queue: REPLIES, consumerTag: "b", noAck: true });
  },
  "a request without a consumer": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "question", { replyTo: REPLIES });
    await channel.closed(406);
  },
  "a reply to an unknown address": async (on) => {
    const client = await on.channel();
    const server = await on.channel();
    const q = await server.queue(on.name("q"));
    await client.consume(REPLIES, { consumerTag: "me", noAck: true });
    client.publish("", q, "question", { replyTo: REPLIES });
    await server.ready(q, 1);
    const question = await server.get(q);
    const { replyTo } = question!.properties!;
    await server.queue(replyTo!, {}, { passive: true });
    await client.peer.close();
    await server.gone("queue", replyTo!);
    server.publish("", replyTo!, "answer", {}, true);
    await server.take("basic.return");
  },
  "the pseudo-queue exists for a passive declare": async (on) => {
    const channel = await on.channel();
    await channel.queue(REPLIES, {}, { passive: true });
  },
  "cancel": async (on) => {
    const client = await on.channel();
    await client.consume(REPLIES, { consumerTag: "me", noAck: true });
    await client.call("basic.cancel", { consumerTag: "me" });
    await client.consume(REPLIES, { consumerTag: "again", noAck: true });
  },
  "get": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "basic.get", { queue: REPLIES, noAck: true });
  },
  "confirms and mandatory": [async (on) => {
    const client = await on.channel();
    const server = await on.channel();
    const q = await server.queue(on.name("q"));
    await client.consume(REPLIES, { consumerTag: "me", noAck: true });
    client.publish("", q, "question", { replyTo: REPLIES });
    await server.ready(q, 1);
    const { replyTo } = (await server.get(q))!.properties!;
    await server.call("confirm.select");
    await server.put("", replyTo!, "answer", {}, true);
    await client.delivery();
  }, {
    why: "a mandatory direct reply that was delivered is not returned",
    rabbit: /2\.1 basic\.return .*\n/,
  }],
  "another reply-to is unchanged": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "question", { replyTo: on.name("elsewhere") });
    await channel.get(q);
  },
  "from another virtual host": [async (on) => {
    const client = await on.channel();
    const server = await on.channel();
    const q = await server.queue(on.name("q"));
    await client.consume(REPLIES, { consumerTag: "me", noAck: true });
    client.publish("", q, "question", { replyTo: REPLIES });
    await server.ready(q, 1);
    const { replyTo } = (await server.get(q))!.properties!;
    const outsider = await on.channel({ vhost: "other" });
    await outsider.call("confirm.select");
    await outsider.put("", replyTo!, "injected", {}, true);
    server.publish("", replyTo!, "answer");
    const first = await client.delivery();
    on.note(`the first reply is ${first.text}`);
    for (let last = first; last.text !== "answer";) last = await client.delivery();
    for (const one of [...client.peer.received, ...outsider.peer.received]) {
      if (one.name === "basic.deliver" || one.name === "basic.return") one.hidden = true;
    }
  }, {
    why: "a direct reply does not cross virtual hosts",
    rabbit: /the first reply is injected/,
    ours: /the first reply is answer/,
  }],
});
