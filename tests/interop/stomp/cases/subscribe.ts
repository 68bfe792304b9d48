import type { StompVersion } from "../../../../lib/stomp/frame.ts";
import { cases, type Session } from "../case.ts";
import type { SeenFrame, StompPeer } from "../../../support/stomp_peer.ts";
import type { Difference } from "../../oracle/compare.ts";
import { NAMES_HEADER } from "../differences.ts";

/** A subscription to a new queue with two messages. */
async function twoMessages(on: Session, ack: string, version: StompVersion = "1.2") {
  const peer = await on.connect(version);
  const queue = on.name("q");
  await peer.call("SUBSCRIBE", { id: "s", destination: `/queue/${queue}`, ack });
  const messages = [];
  for (const body of ["a", "b"]) {
    await peer.call("SEND", { destination: `/queue/${queue}` }, body);
    messages.push(await peer.take("MESSAGE"));
  }
  return { peer, queue, messages };
}

/** The messages that are left after the connection has ended. */
async function left(on: Session, queue: string, count: number): Promise<void> {
  const channel = await on.amqp();
  await channel.ready(queue, count);
  for (let i = 0; i < count; i++) await channel.get(queue, true);
}

const LATE_ACK: readonly Difference[] = [{
  why: "a delivery can be acknowledged after its subscription; RabbitMQ answers 'Subscription not found'",
  rabbit: /1 ERROR .*message="Subscription not found".*/,
  ours: /1 RECEIPT receipt-id="late"/,
}];

async function lateAck(peer: StompPeer, { headers }: SeenFrame): Promise<void> {
  peer.send("ACK", { id: headers["ack"]!, receipt: "late" });
  await peer.take("RECEIPT", "ERROR");
}

export const subscribing = cases("subscribe", {
  "without an id": async (on) => {
    const peer = await on.connect("1.0");
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { destination: `/queue/${queue}` });
    await peer.call("SEND", { destination: `/queue/${queue}` }, "a");
    await peer.take("MESSAGE");
    await peer.call("UNSUBSCRIBE", { destination: `/queue/${queue}` });
    await peer.call("SEND", { destination: `/queue/${queue}` }, "b");
    await left(on, queue, 1);
  },
  "a second subscription with the same id": async (on) => {
    const peer = await on.connect();
    const destination = `/queue/${on.name("q")}`;
    await peer.call("SUBSCRIBE", { id: "1", destination });
    peer.send("SUBSCRIBE", { id: "1", destination });
    await peer.take("ERROR");
  },
  "UNSUBSCRIBE of an unknown id": (on) => on.refused("UNSUBSCRIBE", { id: "9" }),
  "UNSUBSCRIBE of an unknown destination": (on) => on.refused("UNSUBSCRIBE", { destination: "/queue/x" }),
  "UNSUBSCRIBE without id and destination": (on) => on.refused("UNSUBSCRIBE"),
  "UNSUBSCRIBE of a reserved id": (on) => on.refused("UNSUBSCRIBE", { id: "/temp-queue/x" }),
  "an unknown mode of acknowledgements": [
    (on) => on.refused("SUBSCRIBE", { id: "1", destination: "/topic/x", ack: "maybe" }),
    NAMES_HEADER,
  ],
  "a prefetch count that is not a number": [
    (on) => on.refused("SUBSCRIBE", { id: "1", destination: "/topic/x", "prefetch-count": "x" }),
    NAMES_HEADER,
  ],
  "ack:auto - messages are settled when they are sent": async (on) => {
    const { peer, queue } = await twoMessages(on, "auto");
    await peer.close();
    await left(on, queue, 0);
  },
  "ack:client - is cumulative": async (on) => {
    const { peer, queue, messages } = await twoMessages(on, "client");
    await peer.call("ACK", { id: messages[1]!.headers["ack"]! });
    await peer.close();
    await left(on, queue, 0);
  },
  "ack:client-individual - is not": async (on) => {
    const { peer, queue, messages } = await twoMessages(on, "client-individual");
    await peer.call("ACK", { id: messages[1]!.headers["ack"]! });
    await peer.close();
    await left(on, queue, 1);
  },
  "ACK with message-id in 1.1": async (on) => {
    const { peer, queue, messages } = await twoMessages(on, "client", "1.1");
    await peer.call("ACK", { "message-id": messages[0]!.headers["message-id"]!, subscription: "s" });
    await peer.close();
    await left(on, queue, 1);
  },
  "ACK with message-id in 1.0": async (on) => {
    const { peer, queue, messages } = await twoMessages(on, "client", "1.0");
    await peer.call("ACK", { "message-id": messages[1]!.headers["message-id"]! });
    await peer.close();
    await left(on, queue, 0);
  },
  "a second ACK": async (on) => {
    const { peer, messages } = await twoMessages(on, "client");
    await peer.call("ACK", { id: messages[1]!.headers["ack"]! });
    peer.send("ACK", { id: messages[1]!.headers["ack"]! });
    await peer.take("ERROR");
  },
  "ACK of a message that needs none": async (on) => {
    const { peer, messages } = await twoMessages(on, "auto");
    peer.send("ACK", { id: messages[0]!.headers["message-id"]! });
    await peer.take("ERROR");
  },
  "ACK without an id": (on) => on.refused("ACK"),
  "ACK without an id in 1.1": (on) => on.refused("ACK", {}, "1.1"),
  "ACK with a wrong id": (on) => on.refused("ACK", { id: "wrong" }),
  "ACK of an unknown subscription": (on) => on.refused("ACK", { id: "T_9@@session@@1" }),
  "NACK without an id": (on) => on.refused("NACK"),
  "ACK after UNSUBSCRIBE": [async (on) => {
    const { peer, messages } = await twoMessages(on, "client");
    await peer.call("UNSUBSCRIBE", { id: "s" });
    await lateAck(peer, messages[0]!);
  }, ...LATE_ACK],
  "ACK after the queue was deleted": [async (on) => {
    const { peer, queue, messages } = await twoMessages(on, "client-individual");
    const channel = await on.amqp();
    await channel.call("queue.delete", { queue });
    await peer.take("ERROR");
    await lateAck(peer, messages[1]!);
  }, ...LATE_ACK],
  "NACK - is delivered again": async (on) => {
    const { peer, messages } = await twoMessages(on, "client-individual");
    await peer.call("NACK", { id: messages[0]!.headers["ack"]! });
    await peer.take("MESSAGE");
  },
  "NACK without requeue - is dead-lettered": async (on) => {
    const peer = await on.connect();
    const [queue, dead] = [on.name("q"), on.name("dead")];
    await peer.call("SUBSCRIBE", { id: "dead", destination: `/queue/${dead}` });
    const headers = {
      destination: `/queue/${queue}`,
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": dead,
    };
    await peer.call("SUBSCRIBE", { id: "s", ack: "client", ...headers });
    await peer.call("SEND", { destination: `/queue/${queue}` }, "a");
    const { headers: { ack } } = await peer.take("MESSAGE");
    await peer.call("NACK", { id: ack!, requeue: "false" });
    const { headers: { destination, subscription }, text } = await peer.take("MESSAGE");
    on.note(`${destination!.replace(on.nonce, "")} ${subscription} ${text}`);
    peer.received.length = 0;
  },
  "prefetch-count - limits unacknowledged messages": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", {
      id: "s",
      destination: `/queue/${queue}`,
      ack: "client",
      "prefetch-count": "2",
    });
    for (const body of ["a", "b", "c"]) await peer.call("SEND", { destination: `/queue/${queue}` }, body);
    await peer.take("MESSAGE");
    const second = await peer.take("MESSAGE");
    const channel = await on.amqp();
    await channel.ready(queue, 1);
    await peer.call("ACK", { id: second.headers["ack"]! });
    await peer.take("MESSAGE");
  },
  "a queue that is deleted": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { id: "s", destination: `/queue/${queue}` });
    const channel = await on.amqp();
    await channel.call("queue.delete", { queue });
    await peer.take("ERROR");
    // The connection stays.
    await peer.call("SEND", { destination: "/topic/x" });
  },
});

export const durable = cases("durable", {
  "without an id": (on) => on.refused("SUBSCRIBE", { destination: "/topic/x", durable: "true" }),
  "UNSUBSCRIBE without an id": (on) =>
    on.refused("UNSUBSCRIBE", { destination: "/topic/x", persistent: "true" }),
  "the messages between two connections": async (on) => {
    const topic = `${on.nonce}t`;
    const headers = { id: "d", destination: `/topic/${topic}`, durable: "true", "auto-delete": "false" };
    const first = await on.connect();
    await first.call("SUBSCRIBE", headers);
    await first.close();
    const second = await on.connect();
    await second.call("SEND", { destination: `/topic/${topic}` }, "between");
    second.send("SUBSCRIBE", headers);
    await second.take("MESSAGE");
    await second.call("UNSUBSCRIBE", { id: "d", durable: "true" });
    await second.call("SEND", { destination: `/topic/${topic}` }, "lost");
    await second.call("SUBSCRIBE", { ...headers, "auto-delete": "true" }).catch(() => {});
  },
  "the name of the queue": async (on) => {
    const peer = await on.connect();
    await peer.call("SUBSCRIBE", { id: "d", destination: "/topic/a.b", durable: "true" });
    const channel = await on.amqp();
    // The hash of topic and id.
    await channel.queue("stomp-subscription-XSyW_WNsWrvY5rqPX2vHGA", {}, { passive: true });
  },
  "x-queue-name - subscriptions share a queue": async (on) => {
    const peer = await on.connect();
    const other = await on.connect();
    const queue = on.name("shared");
    const headers = { destination: `/topic/${on.nonce}t`, "x-queue-name": queue };
    await peer.call("SUBSCRIBE", { id: "1", ...headers });
    await other.call("SUBSCRIBE", { id: "1", ...headers });
    for (const body of ["a", "b"]) await peer.call("SEND", { destination: `/topic/${on.nonce}t` }, body);
    await peer.take("MESSAGE");
    await other.take("MESSAGE");
    on.note(`${peer.received.length} ${other.received.length}`);
    peer.received.length = other.received.length = 0;
  },
});
