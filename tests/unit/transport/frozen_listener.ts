/** A process that listens and never accepts, like a busy or stopped peer, and that a test can kill. */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { deadline } from "../../support/helpers.ts";

/** A listener in another, stopped process. */
export interface Frozen extends AsyncDisposable {
  /** Its port, or 0 for a Unix socket. */
  readonly port: number;
  /** Kills the process, so that it cleans up nothing. */
  kill(): Promise<void>;
}

/** Starts a process on a free port of 127.0.0.1, or on the Unix socket at `path`, and returns when it listens. */
export async function frozenListener(path?: string): Promise<Frozen> {
  const file = fileURLToPath(import.meta.url);
  const args = [...("Deno" in globalThis ? ["run", "-A"] : []), file, ...(path === undefined ? [] : [path])];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  try {
    return {
      port: Number(await deadline(firstLine(child), 10_000, "the frozen listener")),
      kill,
      [Symbol.asyncDispose]: kill,
    };
  } catch (error) {
    await kill();
    throw error;
  }
}

/** Connects until the listener's queue is full; `dispose` closes all connections. */
export async function fillBacklog(
  where: net.NetConnectOpts,
): Promise<Disposable & { readonly count: number }> {
  const sockets: net.Socket[] = [];
  const connects = () =>
    new Promise<boolean>((resolve) => {
      const socket = net.connect(where, () => {
        clearTimeout(timer);
        resolve(true);
      });
      // With a full queue a connect hangs (tcp) or fails (Unix sockets).
      const timer = setTimeout(() => resolve(false), 300);
      socket.on("error", () => {
        clearTimeout(timer);
        resolve(false);
      });
      sockets.push(socket);
    });
  while (await connects()) {
    if (sockets.length > 5000) {
      throw new Error("5000 connections did not fill the queue of a frozen listener");
    }
  }
  return {
    count: sockets.length,
    [Symbol.dispose]: () => sockets.forEach((socket) => socket.destroy()),
  };
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout!.once("data", (chunk) => resolve(String(chunk).trim()));
    child.once("exit", (code) => reject(new Error(`The frozen listener exited with ${code}`)));
  });
}

if (import.meta.main) {
  const path = process.argv[2];
  const server = net.createServer();
  server.listen(
    path === undefined ? { host: "127.0.0.1", port: 0, backlog: 1 } : { path, backlog: 1 },
    () => {
      const address = server.address();
      fs.writeSync(1, `${typeof address === "object" && address !== null ? address.port : 0}\n`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
  );
}
