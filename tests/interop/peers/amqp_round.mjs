// The steps that an AMQP client from npm performs with a broker. Each step prints a line of JSON: [name, result].
// Adapters such as amqplib_peer.mjs hide the differences of the clients. The peers in Python and Ruby implement the
// same steps.
import { Buffer } from "node:buffer";
import console from "node:console";
import process from "node:process";
import { isDeepStrictEqual } from "node:util";

/** The maximum time of a step, in milliseconds. */
const STEP_MS = 20_000;
/** Sizes around 131 064 bytes, the capacity of a frame of RabbitMQ's size. */
const SIZES = [0, 1, 8184, 131_063, 131_064, 131_065, 300_000];

const bodyOf = (size) => Buffer.from({ length: size }, (_, i) => (i * 31) & 255);
const textOf = (message) => Buffer.from(message.body).toString();

/** The properties that all clients send. The headers differ, as each client has other types. */
export const PROPERTIES = {
  contentType: "application/x",
  contentEncoding: "identity",
  deliveryMode: 2,
  priority: 3,
  correlationId: "c",
  replyTo: "r",
  expiration: "60000",
  messageId: "m",
  timestamp: 1_700_000_000,
  type: "t",
  userId: "guest",
  appId: "a",
};

/** Runs all steps. @param client the adapter: `{ connect(url), codeOf(error), properties, lacks }` */
export async function round(client) {
  const url = process.argv[2];
  const made = [];
  const unique = (what) => `round.${process.pid}.${what}`;
  const step = async (name, work) => {
    if (client.lacks?.includes(name)) return;
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`Timed out after ${STEP_MS} ms`)), STEP_MS);
    });
    let saw;
    try {
      saw = await Promise.race([work(), late]);
    } catch (error) {
      saw = { error: String(error?.stack ?? error) };
    }
    clearTimeout(timer);
    console.log(JSON.stringify([name, saw ?? null]));
  };
  const refused = async (work) => {
    try {
      await work();
    } catch (error) {
      return client.codeOf(error);
    }
    return "taken";
  };
  const until = async (condition) => {
    const end = performance.now() + STEP_MS;
    while (!await condition()) {
      if (performance.now() > end) throw new Error(`Timed out after ${STEP_MS} ms: ${condition}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };

  const connection = await client.connect(url);
  /** Runs `work` on a new channel. */
  const onChannel = async (work, options) => {
    const channel = await connection.channel(options);
    const result = await work(channel);
    await channel.close();
    return result;
  };
  const queue = async (channel, what, options = { durable: true }) => {
    const { queue: name } = await channel.declare(unique(what), options);
    made.push(name);
    return name;
  };
  const drain = async (channel, name) => {
    const bodies = [];
    for (let message; (message = await channel.get(name)) !== undefined; channel.ack(message)) {
      bodies.push(textOf(message));
    }
    return bodies;
  };

  await step("wrong password", () => {
    const wrong = new URL(url);
    wrong.password = "wrong";
    return refused(() => client.connect(wrong.href));
  });
  await step("missing virtual host", () => refused(() => client.connect(new URL("/none", url).href)));
  await step("capabilities", async () => await Promise.resolve(Object.keys(connection.capabilities).sort()));
  await step("blocked", async () => await Promise.resolve(connection.listensForBlocked));

  await step("declare", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "declared");
      const again = await channel.declare(name, { durable: true });
      return [again.queue === name, again.messages, again.consumers];
    }));
  await step("server-named", () =>
    onChannel(async (channel) => {
      const { queue: name } = await channel.declare("", { exclusive: true });
      return /^amq\.gen-.{20}/.test(name);
    }));
  await step("passive, missing", async () => {
    const channel = await connection.channel();
    return await refused(() => channel.declare(unique("missing"), { passive: true }));
  });
  await step("declared otherwise", async () => {
    const name = await onChannel((channel) => queue(channel, "otherwise"));
    const codes = [];
    for (const options of [{ durable: false }, { durable: true, arguments: { "x-max-length": 5 } }]) {
      const channel = await connection.channel();
      codes.push(await refused(() => channel.declare(name, options)));
    }
    return codes;
  });
  await step("reserved name", async () => {
    const channel = await connection.channel();
    return await refused(() => channel.declare("amq.mine", { durable: true }));
  });
  await step("exclusive", async () => {
    const other = await client.connect(url);
    const owner = await other.channel();
    const { queue: name } = await owner.declare(unique("exclusive"), { exclusive: true });
    const stranger = await connection.channel();
    const codes = [await refused(() => stranger.declare(name, { passive: true }))];
    await owner.close();
    await other.close();
    // RabbitMQ deletes the queue asynchronously after its connection ends.
    await until(async () => {
      const channel = await connection.channel();
      return await refused(() => channel.declare(name, { passive: true })) === 404;
    });
    return [...codes, 404];
  });

  const exchange = (name, work) => step(name, () => onChannel(work, { confirm: true }));
  await exchange("direct", async (channel) => {
    const [from, to] = [unique("direct"), await queue(channel, "of direct")];
    await channel.exchange(from, "direct", { durable: true });
    await channel.bind(to, from, "a");
    for (const key of ["a", "b", "a.b"]) await channel.publish(from, key, Buffer.from(key));
    const bodies = await drain(channel, to);
    await channel.unbind(to, from, "a");
    await channel.publish(from, "a", Buffer.from("unbound"));
    bodies.push(...await drain(channel, to));
    await channel.deleteExchange(from);
    return bodies;
  });
  await exchange("fanout", async (channel) => {
    const from = unique("fanout");
    await channel.exchange(from, "fanout", { durable: false, autoDelete: true });
    const bodies = [];
    const queues = [await queue(channel, "left"), await queue(channel, "right")];
    for (const to of queues) await channel.bind(to, from, "");
    await channel.publish(from, "any", Buffer.from("both"));
    for (const to of queues) bodies.push(...await drain(channel, to));
    return bodies;
  });
  await exchange("topic", async (channel) => {
    const to = await queue(channel, "of topic");
    const head = unique("t");
    for (const key of [`${head}.*.error`, `${head}.#.end`]) await channel.bind(to, "amq.topic", key);
    for (const key of ["web.error", "error", "web.db.error", "x.y.end", "end", "error.end"]) {
      await channel.publish("amq.topic", `${head}.${key}`, Buffer.from(key));
    }
    return await drain(channel, to);
  });
  await exchange("headers", async (channel) => {
    const from = unique("headers");
    await channel.exchange(from, "headers", { durable: true });
    const [all, any] = [await queue(channel, "all"), await queue(channel, "any")];
    await channel.bind(all, from, "", { "x-match": "all", color: "red", size: 7 });
    await channel.bind(any, from, "", { "x-match": "any", color: "red", size: 7 });
    for (const headers of [{ color: "red", size: 7, more: true }, { color: "red" }, { size: 8 }, {}]) {
      await channel.publish(from, "", Buffer.from(JSON.stringify(headers)), { headers });
    }
    const bodies = [await drain(channel, all), await drain(channel, any)];
    await channel.deleteExchange(from);
    return bodies;
  });
  await exchange("exchange to exchange", async (channel) => {
    const [outer, inner] = [unique("outer"), unique("inner")];
    await channel.exchange(outer, "topic", { durable: true });
    await channel.exchange(inner, "fanout", { durable: true });
    const to = await queue(channel, "of inner");
    await channel.bind(to, inner, "");
    await channel.bindExchange(inner, outer, "in.#");
    for (const key of ["in.side", "out.side"]) await channel.publish(outer, key, Buffer.from(key));
    await channel.unbindExchange(inner, outer, "in.#");
    await channel.publish(outer, "in.vain", Buffer.from("unbound"));
    for (const name of [outer, inner]) await channel.deleteExchange(name);
    return await drain(channel, to);
  });
  await step("unknown exchange type", async () => {
    const other = await client.connect(url);
    const channel = await other.channel();
    const code = await refused(() => channel.exchange(unique("unknown"), "unknown", {}));
    await other.abandon();
    return code;
  });

  await step("confirms", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "confirmed");
      const confirms = [];
      for (let i = 0; i < 1000; i++) {
        confirms.push(channel.publish("", name, Buffer.from(`message ${i}`), { persistent: true }));
      }
      await Promise.all(confirms);
      return (await channel.declare(name, { passive: true })).messages;
    }, { confirm: true }));
  await step("consume", () =>
    onChannel(async (channel) => {
      const name = unique("confirmed");
      let inOrder = 0;
      await channel.prefetch(50);
      await channel.consume(name, (message) => {
        if (textOf(message) === `message ${inOrder}` && !message.redelivered) inOrder++;
        if (inOrder % 50 === 0) channel.ack(message, true);
      });
      await until(() => inOrder === 1000);
      return [inOrder, (await channel.declare(name, { passive: true })).messages];
    }));
  await step("bodies", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "bodies");
      const wrong = [];
      for (const size of SIZES) await channel.publish("", name, bodyOf(size));
      for (const size of SIZES) {
        const message = await channel.get(name);
        if (!bodyOf(size).equals(Buffer.from(message.body))) wrong.push(size);
        channel.ack(message);
      }
      return wrong;
    }, { confirm: true }));
  await step("properties", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "properties");
      await channel.publish("", name, Buffer.from("p"), client.properties);
      const message = await channel.get(name);
      channel.ack(message);
      const wrong = Object.keys(client.properties)
        .filter((key) => !isDeepStrictEqual(message.properties[key], client.properties[key]));
      return wrong.map((key) => [key, message.properties[key] ?? null]);
    }, { confirm: true }));
  await step("mandatory", () =>
    onChannel(async (channel) => {
      const returned = [];
      channel.onReturn((message) => returned.push(message));
      const key = unique("nobody");
      await channel.publish("", key, Buffer.from("come back"), { messageId: "m" }, true);
      await until(() => returned.length > 0);
      const [{ code, text, key: sent, properties }] = returned;
      return [code, text, sent === key, properties.messageId, textOf(returned[0])];
    }, { confirm: true }));
  await step("full queue", () =>
    onChannel(async (channel) => {
      const limits = { "x-max-length": 1, "x-overflow": "reject-publish" };
      const name = await queue(channel, "full", { durable: true, arguments: limits });
      const outcomes = [];
      for (let i = 0; i < 2; i++) {
        const sent = channel.publish("", name, Buffer.from("x"));
        outcomes.push(await sent.then(() => "taken", () => "refused"));
      }
      return outcomes;
    }, { confirm: true }));
  await step("missing exchange", async () => {
    const channel = await connection.channel();
    channel.publish(unique("no exchange"), "", Buffer.from("x")).catch(() => {});
    return await channel.failure;
  });

  await step("prefetch", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "prefetch");
      for (let i = 0; i < 20; i++) await channel.publish("", name, Buffer.from(`${i}`));
      const came = [];
      await channel.prefetch(5);
      await channel.consume(name, (message) => {
        came.push(message);
        if (came.length > 5) channel.ack(message);
      });
      await until(() => came.length === 5);
      const { messages } = await channel.declare(name, { passive: true });
      channel.ack(came[4], true);
      await until(() => came.length === 20);
      return [messages, came.map(textOf).join(" ")];
    }, { confirm: true }));
  await step("requeue", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "requeue");
      await channel.publish("", name, Buffer.from("x"));
      const flags = [];
      for (let i = 0; i < 3; i++) {
        const message = await channel.get(name);
        flags.push(message.redelivered);
        if (i < 2) channel.nack(message, true);
        else channel.ack(message);
      }
      return flags;
    }, { confirm: true }));
  await step("dead letters", () =>
    onChannel(async (channel) => {
      const dead = await queue(channel, "dead");
      const name = await queue(channel, "alive", {
        durable: true,
        arguments: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead },
      });
      const deaths = [];
      for (const properties of [{}, { expiration: "1" }]) {
        await channel.publish("", name, Buffer.from("x"), properties);
        if (properties.expiration === undefined) channel.nack(await channel.get(name), false);
        let message;
        await until(async () => (message = await channel.get(dead)) !== undefined);
        const [{ reason, count, queue }] = message.properties.headers["x-death"];
        deaths.push([reason, Number(count), queue === name]);
        channel.ack(message);
      }
      return deaths;
    }, { confirm: true }));
  await step("get", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "get");
      for (const body of ["one", "two"]) await channel.publish("", name, Buffer.from(body));
      const saw = [];
      for (let i = 0; i < 2; i++) {
        const message = await channel.get(name);
        saw.push(textOf(message), message.left);
        channel.ack(message);
      }
      return [...saw, await channel.get(name) ?? null];
    }, { confirm: true }));
  await step("cancel", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "cancel");
      const tag = await channel.consume(name, () => {});
      const { consumers } = await channel.declare(name, { passive: true });
      await channel.cancel(tag);
      await channel.publish("", name, Buffer.from("x"));
      const after = await channel.declare(name, { passive: true });
      return [consumers, after.consumers, after.messages];
    }, { confirm: true }));
  await step("cancelled by the broker", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "doomed");
      let cancelled = false;
      await channel.consume(name, (message) => cancelled = message === undefined);
      await onChannel((other) => other.deleteQueue(name));
      await until(() => cancelled);
      return cancelled;
    }));
  await step("unknown delivery tag", async () => {
    const channel = await connection.channel();
    channel.ackTag(99);
    return await channel.failure;
  });
  await step("transaction", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "transaction");
      const seen = () => onChannel(async (other) => (await other.declare(name, { passive: true })).messages);
      await channel.txSelect();
      for (const body of ["a", "b"]) await channel.publish("", name, Buffer.from(body));
      const counts = [await seen()];
      await channel.txCommit();
      counts.push(await seen());
      await channel.publish("", name, Buffer.from("c"));
      await channel.txRollback();
      counts.push(await seen());
      return counts;
    }));
  await step("direct reply-to", () =>
    onChannel(async (server) => {
      const name = await queue(server, "service");
      await server.consume(name, (message) => {
        const { replyTo, correlationId } = message.properties;
        server.publish("", replyTo, Buffer.from(`${textOf(message)}!`), { correlationId });
        server.ack(message);
      });
      return await onChannel(async (asking) => {
        let answer;
        const replies = "amq.rabbitmq.reply-to";
        await asking.consume(replies, (message) => answer = message, { noAck: true });
        await asking.publish("", name, Buffer.from("ping"), { replyTo: replies, correlationId: "c-1" });
        await until(() => answer !== undefined);
        return [textOf(answer), answer.properties.correlationId];
      });
    }));
  await step("purge, delete", () =>
    onChannel(async (channel) => {
      const name = await queue(channel, "purged");
      for (let i = 0; i < 3; i++) await channel.publish("", name, Buffer.from("x"));
      const counts = [await channel.purge(name)];
      await channel.publish("", name, Buffer.from("x"));
      counts.push(await channel.deleteQueue(name), await channel.deleteQueue(name));
      return counts;
    }, { confirm: true }));
  await step("close", async () => {
    await onChannel(async (channel) => {
      for (const name of made) await channel.deleteQueue(name);
    });
    await connection.close();
    return true;
  });
}
