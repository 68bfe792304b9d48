/** Replies out of order: a queue.declare-ok of RabbitMQ may overtake a basic.consume-ok. */
import assert from "node:assert/strict";
import net from "node:net";
import { describe, it } from "node:test";
import { Consumer } from "../../../../lib/amqp/client/consumer.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { METHOD } from "../../../../lib/amqp/frames/frame.ts";
import { FrameDecoder } from "../../../../lib/amqp/frames/frame_decoder.ts";
import { FrameEncoder } from "../../../../lib/amqp/frames/frame_encoder.ts";
import { decodeMethod } from "../../../../lib/amqp/method_codec.ts";
import type { GivenArgs, MethodName } from "../../../../lib/amqp/method_args.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";

/** The reply of the server to a method; undefined for no reply. */
type Answer = [MethodName, object] | undefined;

const LOGIN: Record<string, Answer> = {
  "connection.start-ok": ["connection.tune", { channelMax: 10, frameMax: 4096, heartbeat: 0 }],
  "connection.open": ["connection.open-ok", {}],
  "channel.open": ["channel.open-ok", {}],
  "basic.qos": ["basic.qos-ok", {}],
  "queue.declare": ["queue.declare-ok", { queue: "q", messageCount: 0, consumerCount: 0 }],
  "connection.close": ["connection.close-ok", {}],
};

/** A server on loopback that replies as `LOGIN` defines, and records the methods that it receives. */
async function serve(work: (url: string, asked: string[]) => Promise<void>): Promise<void> {
  const asked: string[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    const encoder = new FrameEncoder();
    const say = (channel: number, name: MethodName, args: object) => {
      encoder.method(channel, name, args as GivenArgs<MethodName>);
      socket.write(encoder.out.take().slice());
    };
    const decoder = new FrameDecoder("server", {
      onProtocolHeader() {
        const plain = new TextEncoder().encode("PLAIN");
        say(0, "connection.start", { versionMinor: 9, mechanisms: plain, locales: new Uint8Array() });
      },
      onFrame(type, channel, bytes, start, end) {
        if (type !== METHOD) return;
        const { name } = decodeMethod(bytes, start, end);
        asked.push(name);
        const answer = LOGIN[name];
        if (answer !== undefined) say(channel, ...answer);
      },
    });
    socket.on("data", (chunk) => decoder.push(chunk as Uint8Array));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`amqp://127.0.0.1:${(server.address() as net.AddressInfo).port}`, asked);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

describe("AMQP client, replies out of order", () => {
  it("consumer - sends no other method before basic.consume-ok", () =>
    serve(async (url, asked) => {
      const consumer = new Consumer(parseAmqpUrl(url), "q", { onDelivery: () => {} });
      const started = consumer.start();
      started.catch(() => {});
      await waitFor(() => asked.includes("basic.consume"));
      assert.equal(await consumer.isDrained(), false);
      const cancelled = consumer.cancel();
      consumer.abort(new Error("over"));
      await deadline(cancelled, 5000, "the end of the cancel");
      assert.equal(asked.at(-1), "basic.consume");
      await assert.rejects(deadline(started, 5000, "the end of the start"));
    }));

  it("channel - rejects all calls when a reply is out of order", () =>
    serve(async (url) => {
      const connection = await connectBroker(parseAmqpUrl(url));
      const channel = await connection.open();
      const calls = [
        channel.call("basic.consume", { queue: "q" }, "basic.consume-ok"),
        channel.call("queue.declare", { queue: "q" }, "queue.declare-ok"),
      ];
      const ends = await deadline(Promise.allSettled(calls), 5000, "the ends of both calls");
      assert.deepEqual(ends.map(({ status }) => status), ["rejected", "rejected"]);
      assert.match(`${(ends[0] as PromiseRejectedResult).reason}`, /unexpected reply queue.declare-ok/);
      await connection.close();
    }));
});
