/** A peer on a real TCP socket that sends any bytes, also those that no correct library sends. */
import { Buffer } from "node:buffer";
import net from "node:net";
import { Collector, deadline, waitFor } from "./helpers.ts";

/** Makes bytes from hexadecimal digits and quoted text: `bytes("04 07 'READY'")`. */
export function bytes(script: string): Uint8Array {
  const parts = script.match(/'[^']*'|[0-9a-f]{2}/gi) ?? [];
  return new Uint8Array(
    Buffer.concat(
      parts.map((part) => part.startsWith("'") ? Buffer.from(part.slice(1, -1)) : Buffer.from(part, "hex")),
    ),
  );
}

/** Formats bytes in hexadecimal. */
export function hexOf(data: Uint8Array): string {
  return Buffer.from(data).toString("hex");
}

const MECHANISM = `'NULL' ${"00 ".repeat(16)}`;
/** The signature of a greeting, 10 bytes. */
export const SIGNATURE: Uint8Array = bytes("ff 00 00 00 00 00 00 00 01 7f");

/** The 64 bytes of a ZMTP 3 greeting. */
export function greeting(minor = 1): Uint8Array {
  return bytes(`${hexOf(SIGNATURE)} 03 0${minor} ${MECHANISM} 00 ${"00 ".repeat(31)}`);
}

/** The READY command of a socket type. */
export function ready(type: string): Uint8Array {
  const body = `05 'READY' 0b 'Socket-Type' 00 00 00 ${byte(type.length)} '${type}'`;
  return command(bytes(body));
}

/** Makes a command frame from its body: the name's length, the name, the data. */
export function command(body: Uint8Array): Uint8Array {
  return frame(body, 4);
}

/** Makes a frame. A body of more than 255 bytes makes it LONG. */
export function frame(body: Uint8Array | string, flags = 0): Uint8Array {
  const data = Buffer.from(body);
  const head = Buffer.alloc(data.length < 256 ? 2 : 9);
  head[0] = data.length < 256 ? flags : flags | 2;
  if (data.length < 256) head[1] = data.length;
  else head.writeBigUInt64BE(BigInt(data.length), 1);
  return new Uint8Array(Buffer.concat([head, data]));
}

function byte(value: number): string {
  return value.toString(16).padStart(2, "0");
}

const WIRE_TYPES = ["PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH"];

/** One connection, of which the test is one end. */
export class RawPeer extends Collector implements Disposable {
  closed = false;
  readonly #socket: net.Socket;

  constructor(socket: net.Socket) {
    super();
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.onData(new Uint8Array(chunk)));
    socket.on("end", () => this.onEnd());
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      this.wake();
    });
  }

  /** Connects to a bound endpoint of 127.0.0.1. */
  static async dial(endpoint: string): Promise<RawPeer> {
    const socket = net.connect(Number(endpoint.split(":").at(-1)), "127.0.0.1");
    const peer = new RawPeer(socket);
    await deadline(new Promise<void>((resolve) => socket.once("connect", () => resolve())));
    return peer;
  }

  /** Sends bytes in one write. */
  send(...parts: (Uint8Array | string)[]): void {
    this.#socket.write(Buffer.concat(parts.map((part) => typeof part === "string" ? bytes(part) : part)));
  }

  /** Sends bytes in one write, and waits until the operating system has accepted them. */
  flush(...parts: (Uint8Array | string)[]): Promise<void> {
    const data = Buffer.concat(parts.map((part) => typeof part === "string" ? bytes(part) : part));
    return new Promise((resolve) => this.#socket.write(data, () => resolve()));
  }

  /** Waits for the next `count` bytes and removes them from the input. */
  async take(count: number): Promise<Uint8Array> {
    const from = this.#taken;
    this.#taken += count;
    return (await this.atLeast(this.#taken)).slice(from, this.#taken);
  }
  #taken = 0;

  /** The number of received bytes that were not taken. */
  get waiting(): number {
    return this.length - this.#taken;
  }

  /** Runs a handshake as a socket of this type and version, up to the peer's READY or identity. */
  async greet(type: string, version: "3.1" | "3.0" | "2.0" = "3.1"): Promise<void> {
    if (version === "2.0") {
      this.send(SIGNATURE, Uint8Array.of(1, WIRE_TYPES.indexOf(type), 0, 0));
      await this.take(10 + 1 + 1 + 2);
      return;
    }
    this.send(greeting(version === "3.1" ? 1 : 0), ready(type));
    await this.take(64);
    const head = await this.take(2);
    await this.take(head[1]!);
  }

  /** Waits until the other side has ended or closed the connection. */
  untilGone(): Promise<void> {
    return this.until(() => this.ended || this.closed, undefined, () => "the connection to end");
  }

  /** Ends our half. */
  end(): void {
    this.#socket.end();
  }

  /** Closes the connection at once; with a reset if there is unread input. */
  close(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A listener whose accepted connections are raw peers. */
export interface RawListener extends AsyncDisposable {
  readonly endpoint: string;
  /** All accepted connections. */
  readonly peers: readonly RawPeer[];
  /** Waits for connection `index`, counted from 0. */
  peer(index: number): Promise<RawPeer>;
}

/** Listens on a free port of 127.0.0.1; `greet` is called for each connection. */
export async function rawListener(greet: (peer: RawPeer) => void = () => {}): Promise<RawListener> {
  const peers: RawPeer[] = [];
  const server = net.createServer((socket) => {
    const peer = new RawPeer(socket);
    peers.push(peer);
    greet(peer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `tcp://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    peers,
    peer: async (index) => {
      await waitFor(() => peers.length > index, undefined, `connection ${index}`);
      return peers[index]!;
    },
    async [Symbol.asyncDispose]() {
      for (const peer of peers) peer.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
