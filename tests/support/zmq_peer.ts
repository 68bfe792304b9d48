/** Drives peers/zmq_peer.py: sockets of libzmq in another process. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import process from "node:process";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { deadline, requirePeer } from "./helpers.ts";

/** Debian's Python has pyzmq; another Python that is earlier on PATH may not. */
const PYTHON = "/usr/bin/python3";
const SCRIPT = fileURLToPath(new URL("../interop/peers/zmq_peer.py", import.meta.url));

/** A frame in a form for both processes: hexadecimal, or a length for the bytes 0, 1, … 255, 0, … */
export type Frame = string | number;

const present = spawnSync(PYTHON, ["-c", "import zmq"], { stdio: "ignore" }).status === 0;

/** `it` for tests against libzmq. */
export const test = requirePeer("pyzmq", present);

/** A peer for the tests of the enclosing `describe`: it starts before them and ends after them. */
export function sharedPeer(): Pick<ZmqPeer, "socket"> {
  let peer: ZmqPeer | undefined;
  before(async () => {
    if (present) peer = await ZmqPeer.start();
  });
  after(async () => await peer?.[Symbol.asyncDispose]());
  return { socket: (type, options) => peer!.socket(type, options) };
}

/** The bytes of a frame. */
export function bytesOf(frame: Frame): Uint8Array {
  if (typeof frame === "string") return new Uint8Array(Buffer.from(frame, "hex"));
  const bytes = new Uint8Array(frame);
  for (let i = 0; i < bytes.length; i++) bytes[i] = i;
  return bytes;
}

/** A message as the peer's `recv` prints it: frames in hexadecimal, or length and hash for long ones. */
export function asPrinted(frames: readonly Uint8Array[] | undefined): string[] | undefined {
  return frames?.map((frame) =>
    frame.length <= 512
      ? Buffer.from(frame).toString("hex")
      : `${frame.length}:${createHash("sha256").update(frame).digest("hex")}`
  );
}

/** A text as hexadecimal. */
export function hex(text: string): string {
  return Buffer.from(text).toString("hex");
}

/** The process. */
export class ZmqPeer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #ids = 0;
  #sockets = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once("exit", () => resolve()));
    createInterface({ input: child.stdout! }).on("line", (line) => this.#onLine(line));
    this.#exited.then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error("The libzmq peer exited"));
    });
  }

  /** Starts a program with the protocol of peers/zmq_peer.py. Default: that program. */
  static async start(program = PYTHON, args = [SCRIPT]): Promise<ZmqPeer> {
    const peer = new ZmqPeer(spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] }));
    const started = Promise.withResolvers<unknown>();
    peer.#waiting.set(0, started);
    await deadline(started.promise, 20_000, "the libzmq peer to start");
    return peer;
  }

  /** Opens a socket: `type` and `options` have libzmq's names; bytes are in hexadecimal. */
  async socket(type: string, options: Record<string, number | string> = {}): Promise<ZmqSocket> {
    const name = `s${++this.#sockets}`;
    const socket = new ZmqSocket((op, args) => this.#call(name, op, args));
    await socket.call("open", { type, options });
    return socket;
  }

  /** Sends SIGSTOP: the connections stay open, and the peer does nothing more. */
  stop(): void {
    // Not ChildProcess.kill: in Deno it reports the signal as the cause of the exit in any case.
    process.kill(this.#child.pid!, "SIGSTOP");
  }

  /** Sends SIGKILL: nothing is flushed, and no connection is closed properly. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await deadline(this.#exited, 10_000, "the libzmq peer to die");
  }

  /** Ends the peer. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin!.end();
    await deadline(this.#exited, 10_000, "the libzmq peer to end").catch(() => this.kill());
  }

  #call(socket: string, op: string, args: Record<string, unknown>): Promise<unknown> {
    const id = ++this.#ids;
    const answer = Promise.withResolvers<unknown>();
    // A killed peer does not answer its last calls, and tests may no longer wait for them.
    answer.promise.catch(() => {});
    this.#waiting.set(id, answer);
    this.#child.stdin!.write(JSON.stringify({ id, socket, op, args }) + "\n");
    return deadline(answer.promise, 30_000, `the libzmq peer to ${op} ${JSON.stringify(args)}`);
  }

  #onLine(line: string): void {
    const { id = 0, ok, error } = JSON.parse(line);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(ok);
    else waiting?.reject(new Error(`libzmq: ${error}`));
  }
}

/** A socket in the other process. */
export class ZmqSocket implements AsyncDisposable {
  /** Runs a method of the class `Socket` in peers/zmq_peer.py. */
  readonly call: (op: string, args: Record<string, unknown>) => Promise<unknown>;
  #closed = false;

  constructor(call: (op: string, args: Record<string, unknown>) => Promise<unknown>) {
    this.call = call;
  }

  /** Binds, and returns the endpoint with the real port. */
  async bind(endpoint: string): Promise<string> {
    return await this.call("bind", { endpoint }) as string;
  }

  async connect(endpoint: string): Promise<void> {
    await this.call("connect", { endpoint });
  }

  /** Sets an option; bytes are in hexadecimal. */
  async option(name: string, value: number | string): Promise<void> {
    await this.call("option", { name, value });
  }

  async subscribe(topic: string): Promise<void> {
    await this.option("SUBSCRIBE", hex(topic));
  }

  async unsubscribe(topic: string): Promise<void> {
    await this.option("UNSUBSCRIBE", hex(topic));
  }

  async send(...frames: Frame[]): Promise<void> {
    await this.call("send", { frames });
  }

  /** The next message in the form of `asPrinted`, or null when none arrives within `timeout` milliseconds. */
  async recv(timeout = 10_000): Promise<string[] | null> {
    return await this.call("recv", { timeout }) as string[] | null;
  }

  /** The messages that arrive until `quiet` milliseconds pass without one. */
  async recvAll(quiet: number): Promise<string[][]> {
    return await this.call("recv_all", { quiet }) as string[][];
  }

  /** Sends the numbers from `start` as text, each padded to `pad` bytes, after the frames `head`. */
  async blast(count: number, options: { start?: number; pad?: number; head?: Frame[] } = {}): Promise<void> {
    await this.call("blast", { count, ...options });
  }

  /** The numbers in the last frames of the next `count` messages; fewer after `timeout` milliseconds without one. */
  async collect(count: number, timeout = 10_000): Promise<number[]> {
    return await this.call("collect", { count, timeout }) as number[];
  }

  /** Sends the next `count` messages back unchanged. */
  async echo(count: number, timeout = 10_000): Promise<number> {
    return await this.call("echo", { count, timeout }) as number;
  }

  /** Makes the socket process new connections: libzmq does that only inside a call. */
  async poke(): Promise<void> {
    await this.call("poke", {});
  }

  /** Waits for an action that libzmq performs only inside calls of this socket. */
  async pokeUntil<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    promise.then(() => settled = true, () => settled = true);
    while (!settled) await this.poke();
    return await promise;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.call("close", {});
  }

  /** Closes the socket; the process may already be dead. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => {});
  }
}
