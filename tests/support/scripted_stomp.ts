/** A STOMP server for tests of the client: it answers as a script says. */
import { Buffer } from "node:buffer";
import net from "node:net";
import { StompDecoder } from "../../lib/stomp/frame_decoder.ts";
import { StompEncoder } from "../../lib/stomp/frame_encoder.ts";
import type { StompVersion } from "../../lib/stomp/frame.ts";
import type { Headers, SeenFrame } from "./stomp_peer.ts";

/** An accepted connection. */
export interface ServedStomp {
  readonly socket: net.Socket;
  /** The number of connections before it. */
  readonly number: number;
  /** The received frames. */
  readonly frames: SeenFrame[];
  /** The number of bytes received. */
  readonly received: { bytes: number };
  say(command: string, headers: Headers, body?: string | Uint8Array): void;
}

/** How a scripted server differs from one that accepts everything. */
export interface StompScript {
  /** The version of CONNECTED. Default: 1.2 */
  readonly version?: StompVersion;
  /** The header `heart-beat` of CONNECTED. Default: 0,0 */
  readonly heartbeat?: string;
  /** Bytes that are sent instead of an answer to CONNECT. */
  readonly greeting?: string | Uint8Array;
  /** Called for each frame. @returns whether the frame is answered; by default, receipts are sent */
  readonly on?: (served: ServedStomp, frame: SeenFrame) => boolean | void;
}

/** Runs `work` with the URL of a scripted server, and the connections that it accepted so far. */
export async function serveStomp(
  { version = "1.2", heartbeat = "0,0", greeting, on }: StompScript,
  work: (url: string, connections: readonly ServedStomp[]) => Promise<void>,
): Promise<void> {
  const connections: ServedStomp[] = [];
  const server = net.createServer((socket) => {
    const encoder = new StompEncoder();
    encoder.version = version;
    const served: ServedStomp = {
      socket,
      number: connections.length,
      frames: [],
      received: { bytes: 0 },
      say(command, headers, body = "") {
        encoder.frame(command, Object.entries(headers), Buffer.from(body));
        if (!socket.destroyed) socket.write(encoder.out.take().slice());
      },
    };
    connections.push(served);
    const answer = (frame: SeenFrame) => {
      if (on?.(served, frame) === true) return;
      const { receipt } = frame.headers;
      if (frame.command === "CONNECT") {
        served.say("CONNECTED", { version, "heart-beat": heartbeat, server: "Scripted/1" });
        decoder.version = version;
      }
      if (receipt !== undefined) served.say("RECEIPT", { "receipt-id": receipt });
      if (frame.command === "DISCONNECT") socket.end();
    };
    const decoder = new StompDecoder({
      onFrame({ command, headers, body, bodyStart, bodyEnd }) {
        const copy = body.slice(bodyStart, bodyEnd);
        const text = new TextDecoder().decode(copy);
        const frame = { command, headers: Object.fromEntries(headers), text, body: copy };
        served.frames.push(frame);
        answer(frame);
      },
    }, { maxBody: 2 ** 30 });
    socket.on("data", (chunk) => {
      served.received.bytes += chunk.length;
      if (greeting === undefined) decoder.push(chunk as Uint8Array);
    });
    socket.on("error", () => {});
    if (greeting !== undefined) socket.write(greeting);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`stomp://127.0.0.1:${(server.address() as net.AddressInfo).port}`, connections);
  } finally {
    for (const { socket } of connections) socket.destroy();
    server.close();
  }
}
