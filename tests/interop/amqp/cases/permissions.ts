import type { GivenArgs, MethodName } from "../../../../lib/amqp/method_args.ts";
import { cases, type Difference, type Script, type Session } from "../case.ts";
import type { PeerChannel } from "../peer.ts";

/** The user of definitions.ts who can configure `own`, write to `in` and read from `out`. */
const LIMITED = { user: "limited", password: "limited" };

async function both(on: Session): Promise<{ guest: PeerChannel; limited: PeerChannel }> {
  return { guest: await on.channel(), limited: await on.channel(LIMITED) };
}

/** Reopens the channel that a refusal closed. */
async function again(channel: PeerChannel): Promise<void> {
  await channel.call("channel.open", {}, true);
}

/** Sends a method that is refused for two reasons. */
function twice<Name extends MethodName>(name: Name, args: GivenArgs<Name>): Script {
  return async (on) => {
    const { limited } = await both(on);
    limited.send(name, args);
    await limited.peer.until(() => /close$/.test(limited.peer.received.at(-1)!.name), "a close");
  };
}

const PERMISSION_FIRST: Difference = {
  why: "if there are two reasons to refuse a name, the missing permission is reported",
  rabbit: /2\.[01] .*close .*/,
  ours: /2\.1 channel.close replyCode=403 replyText="ACCESS_REFUSED - access to .*/,
};

export const permissions = cases("permissions", {
  "declare and delete": async (on) => {
    const { guest, limited } = await both(on);
    await limited.queue(on.name("own"));
    await limited.exchange(on.name("own"), "fanout");
    await limited.refused(403, "queue.declare", { queue: on.name("q") });
    await again(limited);
    await limited.refused(403, "exchange.declare", { exchange: on.name("x"), type: "direct" });
    await again(limited);
    await guest.queue(on.name("q"));
    await guest.exchange(on.name("x"), "direct");
    await limited.refused(403, "queue.declare", { queue: on.name("q") });
    await again(limited);
    await limited.refused(403, "queue.delete", { queue: on.name("q") });
    await again(limited);
    await limited.refused(403, "exchange.delete", { exchange: on.name("x") });
    await again(limited);
    await limited.call("queue.delete", { queue: on.name("own") });
    await limited.call("exchange.delete", { exchange: on.name("own") });
  },
  "passive declares need no permission": async (on) => {
    const { guest, limited } = await both(on);
    await guest.queue(on.name("q"));
    await guest.exchange(on.name("x"), "direct");
    await limited.queue(on.name("q"), {}, { passive: true });
    await limited.call("exchange.declare", { exchange: on.name("x"), passive: true });
  },
  "publish": async (on) => {
    const { guest, limited } = await both(on);
    for (const name of ["in", "out"]) await guest.exchange(on.name(name), "fanout");
    limited.publish(on.name("in"), "key", "fine");
    limited.publish(on.name("out"), "key", "refused");
    await limited.closed(403);
  },
  "publish to the default exchange": async (on) => {
    const { limited } = await both(on);
    limited.publish("", on.name("q"), "refused");
    await limited.closed(403);
  },
  "get, consume and purge": async (on) => {
    const { guest, limited } = await both(on);
    for (const name of ["in", "out"]) await guest.queue(on.name(name));
    await limited.get(on.name("out"));
    await limited.consume(on.name("out"), { consumerTag: "me" });
    await limited.call("queue.purge", { queue: on.name("out") });
    await limited.refused(403, "basic.get", { queue: on.name("in") });
    await again(limited);
    await limited.refused(403, "basic.consume", { queue: on.name("in") });
    await again(limited);
    await limited.refused(403, "queue.purge", { queue: on.name("in") });
  },
  "bind and unbind": async (on) => {
    const { guest, limited } = await both(on);
    for (const name of ["in", "out"]) {
      await guest.queue(on.name(name));
      await guest.exchange(on.name(name), "fanout");
    }
    await limited.bind(on.name("in"), on.name("out"));
    await limited.call("queue.unbind", { queue: on.name("in"), exchange: on.name("out") });
    await limited.refused(403, "queue.bind", { queue: on.name("out"), exchange: on.name("out") });
    await again(limited);
    await limited.refused(403, "queue.bind", { queue: on.name("in"), exchange: on.name("in") });
    await again(limited);
    await limited.refused(403, "queue.unbind", { queue: on.name("out"), exchange: on.name("out") });
    await again(limited);
    await limited.call("exchange.bind", { destination: on.name("in"), source: on.name("out") });
    await limited.refused(403, "exchange.bind", { destination: on.name("out"), source: on.name("out") });
    await again(limited);
    await limited.refused(403, "exchange.bind", { destination: on.name("in"), source: on.name("in") });
    await again(limited);
    await limited.refused(403, "exchange.unbind", { destination: on.name("out"), source: on.name("out") });
  },
  "a dead-letter exchange": async (on) => {
    const { limited } = await both(on);
    await limited.queue(on.name("own.a"), { "x-dead-letter-exchange": on.name("in") });
    await limited.refused(403, "queue.declare", {
      queue: on.name("own.b"),
      arguments: { "x-dead-letter-exchange": on.name("out") },
    });
  },
  "an alternate exchange": async (on) => {
    const { limited } = await both(on);
    await limited.exchange(on.name("own.a"), "fanout", { "alternate-exchange": on.name("in") });
    await limited.refused(403, "exchange.declare", {
      exchange: on.name("own.b"),
      type: "fanout",
      arguments: { "alternate-exchange": on.name("out") },
    });
  },
  "a name generated by the server": async (on) => {
    const { limited } = await both(on);
    await limited.queue("", {}, { exclusive: true });
  },
  "reserved names": async (on) => {
    const { limited } = await both(on);
    await limited.refused(403, "exchange.declare", { exchange: "amq.mine", type: "direct" });
    await again(limited);
    await limited.refused(403, "exchange.declare", { exchange: "amq.direct", type: "direct", durable: true });
  },
  "a reserved queue": [twice("queue.declare", { queue: "amq.mine" }), PERMISSION_FIRST],
  "delete of a reserved exchange": [twice("exchange.delete", { exchange: "amq.direct" }), PERMISSION_FIRST],
  "the default exchange": [twice("exchange.declare", { exchange: "", type: "direct" }), PERMISSION_FIRST],
  "an unknown type": [twice("exchange.declare", { exchange: "x", type: "nonsense" }), PERMISSION_FIRST],
  "no permissions": async (on) => {
    const limited = await on.channel({ user: "none", password: "none" });
    await limited.refused(403, "queue.declare", { queue: on.name("q") });
    await again(limited);
    await limited.refused(403, "queue.declare", { queue: "" });
  },
  "empty patterns match nothing": async (on) => {
    const limited = await on.channel({ user: "none", password: "none", vhost: "other" });
    await limited.refused(403, "queue.declare", { queue: on.name("q") });
    await again(limited);
    limited.publish("", on.name("q"), "refused");
    await limited.closed(403);
  },
  "a missing queue": async (on) => {
    const { limited } = await both(on);
    await limited.refused(403, "basic.get", { queue: on.name("missing") });
    await again(limited);
    await limited.refused(404, "basic.get", { queue: on.name("out.missing") });
  },
  "a missing exchange": async (on) => {
    const { limited } = await both(on);
    limited.publish(on.name("missing"), "key", "refused");
    await limited.closed(403);
    await again(limited);
    limited.publish(on.name("in.missing"), "key", "refused");
    await limited.closed(404);
  },
  "user-id is checked": async (on) => {
    const { guest, limited } = await both(on);
    await guest.exchange(on.name("in"), "fanout");
    limited.publish(on.name("in"), "key", "fine", { userId: "limited" });
    limited.publish(on.name("in"), "key", "refused", { userId: "guest" });
    await limited.closed(406);
  },
});
