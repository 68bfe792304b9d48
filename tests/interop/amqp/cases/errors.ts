import { cases, type Script } from "../case.ts";
import { closesWithoutReason, FRAME_ERROR_TEXT } from "../differences.ts";

/** Sends a malformed frame and waits for the end of the connection. */
const malformed = (type: number, payload: number[], channel = 1, end = 0xce): Script => async (on) => {
  const peer = await on.connect();
  await peer.channel();
  peer.frame(type, channel, Uint8Array.from(payload), end);
  await peer.until(() => /close|end/.test(peer.received.at(-1)!.name), "the end");
};

export const errors = cases("errors", {
  "a frame of an unknown type": [malformed(4, [1, 2, 3]), FRAME_ERROR_TEXT],
  "a frame of type 0": [malformed(0, []), FRAME_ERROR_TEXT],
  "a frame with a wrong end octet": [malformed(1, [0, 20, 0, 10, 0], 1, 0), FRAME_ERROR_TEXT],
  "an empty method frame": [malformed(1, []), FRAME_ERROR_TEXT],
  "a method frame of two bytes": [malformed(1, [0, 20]), FRAME_ERROR_TEXT],
  "a method of an unknown class": [malformed(1, [0, 99, 0, 10]), closesWithoutReason(540)],
  "an unknown method of a class": [malformed(1, [0, 20, 0, 99]), closesWithoutReason(540)],
  "truncated arguments": [malformed(1, [0, 50, 0, 10, 0, 0, 10, 65]), FRAME_ERROR_TEXT],
  "excess bytes after the arguments": [malformed(1, [0, 20, 0, 20, 1, 1, 1, 1]), FRAME_ERROR_TEXT],
  "a table longer than its frame": [
    malformed(1, [0, 50, 0, 10, 0, 0, 1, 65, 0, 0, 0, 1, 0]),
    FRAME_ERROR_TEXT,
  ],
  "a table with an unknown type": [
    malformed(1, [0, 50, 0, 10, 0, 0, 1, 65, 0, 0, 0, 0, 3, 1, 97, 63]),
    closesWithoutReason(501),
  ],
  "a method that only servers send": async (on) => {
    const channel = await on.channel();
    channel.send("queue.declare-ok", { queue: "q" });
    await channel.closed(503);
  },
  "a delivery from a client": async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    channel.send("basic.deliver", { consumerTag: "me" });
    peer.header(channel.number, 0);
    await channel.closed(503);
  },
  "a basic.cancel-ok from a client": async (on) => {
    const channel = await on.channel();
    channel.send("basic.cancel-ok", { consumerTag: "me" });
    await channel.closed(503);
  },
  "a queue name that is not UTF-8": [async (on) => {
    const channel = await on.channel();
    await channel.refused(501, "queue.declare", { queue: "\udcff" });
  }, FRAME_ERROR_TEXT],
  "a connection error closes all channels": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"), {}, { exclusive: true });
    await second.refused(503, "exchange.declare", { exchange: on.name("x"), type: "nonsense" });
    const other = await on.channel();
    await other.gone("queue", q);
  },
  "an error requeues unacknowledged messages": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "a");
    await channel.get(q, false);
    await channel.refused(404, "basic.get", { queue: on.name("missing") });
    await channel.call("channel.open");
    await channel.ready(q, 1);
    await channel.drain(q);
  },
  "two errors on two channels": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    first.send("basic.get", { queue: on.name("missing") });
    second.send("queue.purge", { queue: on.name("missing") });
    await first.closed(404);
    await second.closed(404);
  },
  "a long name in an error": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.declare", { queue: on.name("n".repeat(240)), passive: true });
  },
  "a quote in a name in an error": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.declare", { queue: on.name("it's"), passive: true });
  },
});
