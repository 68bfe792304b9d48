/** A server on loopback that replies to each method as a table says. */
import net from "node:net";
import { HEADER, METHOD } from "../../lib/amqp/frames/frame.ts";
import { FrameDecoder } from "../../lib/amqp/frames/frame_decoder.ts";
import { FrameEncoder } from "../../lib/amqp/frames/frame_encoder.ts";
import type { GivenArgs, MethodName } from "../../lib/amqp/method_args.ts";
import { decodeMethod } from "../../lib/amqp/method_codec.ts";

/** The reply of the server to a method; undefined for no reply. */
export type Answer = [MethodName, object] | undefined;

/** One connection of a scripted server. */
export interface Served {
  readonly socket: net.Socket;
  /** The number of the connection, from 0. */
  readonly number: number;
  /** The names of the methods and contents that arrived. */
  readonly asked: string[];
  /** Sends a method. */
  say(channel: number, name: MethodName, args: object): void;
  /** Sends `count` messages to the consumer `mqcat`. @param bodyOf their bodies, by delivery tag. Default: `m1` and so on */
  deliver(channel: number, first: number, count: number, bodyOf?: (tag: number) => string): void;
}

/** Replies of a broker that accepts everything; `asked` of a connection has all methods that it received. */
export const ANSWERS: Record<string, Answer> = {
  "connection.start-ok": ["connection.tune", { channelMax: 10, frameMax: 131072, heartbeat: 0 }],
  "connection.open": ["connection.open-ok", {}],
  "channel.open": ["channel.open-ok", {}],
  "channel.close": ["channel.close-ok", {}],
  "confirm.select": ["confirm.select-ok", {}],
  "basic.qos": ["basic.qos-ok", {}],
  "basic.consume": ["basic.consume-ok", { consumerTag: "mqcat" }],
  "basic.cancel": ["basic.cancel-ok", { consumerTag: "mqcat" }],
  "queue.declare": ["queue.declare-ok", { queue: "q", messageCount: 0, consumerCount: 1 }],
  "connection.close": ["connection.close-ok", {}],
};

/** How a scripted server differs from `ANSWERS`. */
export interface Script {
  /** The replies for a connection. Default: `ANSWERS` */
  readonly answers?: (connection: number) => Record<string, Answer>;
  readonly mechanisms?: string;
  /** Whether not even the protocol header is answered. */
  readonly silent?: boolean;
  readonly capabilities?: object;
  /** Called after the reply to a method, and for `content` when the header of a published message arrives. */
  readonly on?: (served: Served, name: string, channel: number, args: object) => void;
}

/** Runs `work` with the URL of a scripted server, and the connections that it accepted so far. */
export async function serve(
  { answers = () => ANSWERS, mechanisms = "PLAIN", silent = false, capabilities = {}, on }: Script,
  work: (url: string, connections: readonly Served[]) => Promise<void>,
): Promise<void> {
  const connections: Served[] = [];
  const server = net.createServer((socket) => {
    const encoder = new FrameEncoder();
    const send = () => {
      if (!socket.destroyed) socket.write(encoder.out.take().slice());
    };
    const served: Served = {
      socket,
      number: connections.length,
      asked: [],
      say(channel, name, args) {
        encoder.method(channel, name, args as GivenArgs<MethodName>);
        send();
      },
      deliver(channel, first, count, bodyOf = (tag) => `m${tag}`) {
        for (let tag = first; tag < first + count; tag++) {
          const deliver = { consumerTag: "mqcat", deliveryTag: tag, exchange: "", routingKey: "q" };
          encoder.method(channel, "basic.deliver", deliver as GivenArgs<MethodName>);
          const body = new TextEncoder().encode(bodyOf(tag));
          encoder.contentHeader(channel, body.length, {});
          encoder.body(channel, body);
        }
        send();
      },
    };
    connections.push(served);
    const decoder = new FrameDecoder("server", {
      onProtocolHeader() {
        served.asked.push("header");
        if (silent) return;
        served.say(0, "connection.start", {
          versionMinor: 9,
          mechanisms: new TextEncoder().encode(mechanisms),
          locales: new Uint8Array(),
          serverProperties: { capabilities },
        });
      },
      onFrame(type, channel, bytes, start, end) {
        if (type === HEADER) {
          served.asked.push("content");
          on?.(served, "content", channel, {});
        }
        if (type !== METHOD) return;
        const { name, args } = decodeMethod(bytes, start, end);
        served.asked.push(name);
        const answer = answers(served.number)[name];
        if (answer !== undefined) served.say(channel, ...answer);
        on?.(served, name, channel, args);
      },
    });
    decoder.frameMax = 131072;
    socket.on("data", (chunk) => decoder.push(chunk as Uint8Array));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`amqp://127.0.0.1:${(server.address() as net.AddressInfo).port}`, connections);
  } finally {
    for (const { socket } of connections) socket.destroy();
    server.close();
  }
}
