/** What the rows share: our programs, compiled peers, input files and keys. Everything is made when it is needed. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { encodeZ85, formatKeyFile, generateKeyPair } from "../../mod.ts";
import { findBun } from "../bun.ts";
import { bundle } from "../bundle.ts";
import { compileWithBun } from "../compile_bun.ts";

/** The folder of the benchmark. */
const HERE = fileURLToPath(new URL(".", import.meta.url));
/** `--quick` does this fraction of the work. */
const QUICK = 1 / 20;

/** A program of ours. */
export interface OurProgram {
  readonly name: string;
  readonly command: readonly string[];
}

/** The keys of a CURVE server. */
export interface ServerKeys {
  /** The file with both keys. */
  readonly path: string;
  readonly publicKey: string;
  readonly secretKey: string;
}

/** The libraries of the peers in C. */
const C_LIBRARIES = { line_zmq: ["-lzmq"], drain_zmq: [], load_amqp: ["-lrabbitmq"], load_mqtt: [] } as const;

const DENO = [process.execPath, "run", "-A", "--no-check"];

export class Lab {
  readonly directory: string = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-bench-"));
  readonly quick: boolean;
  /** Our programs: each row measures all of them. */
  readonly programs: readonly OurProgram[];
  readonly #made = new Map<string, unknown>();
  /** Called at the end of a group. */
  #onEnd: (() => Promise<void>)[] = [];

  /** @param others further programs to measure, such as an older version */
  constructor(quick: boolean, others: readonly OurProgram[] = []) {
    this.quick = quick;
    this.programs = [
      { name: "Deno", command: [...DENO, "--no-config", bundle()] },
      { name: "Bun binary", command: [compileWithBun()] },
      ...others,
    ];
  }

  /** The amount of work: less with `--quick`. */
  scaled(count: number): number {
    return this.quick ? Math.ceil(count * QUICK) : count;
  }

  /** Makes something once. */
  once<T>(name: string, make: () => T): T {
    if (!this.#made.has(name)) this.#made.set(name, make());
    return this.#made.get(name) as T;
  }

  /** Calls a function after the last row of the current group. What `once` made for the group must be made again. */
  atEnd(name: string, end: () => Promise<void>): void {
    this.#onEnd.push(async () => {
      this.#made.delete(name);
      await end();
    });
  }

  /** Returns the path of a peer in C. */
  peer(name: keyof typeof C_LIBRARIES): string {
    return this.once(`peer ${name}`, () => {
      const binary = this.file(name);
      const source = path.join(HERE, "peers", `${name}.c`);
      execFileSync("gcc", ["-O2", "-pthread", "-o", binary, source, ...C_LIBRARIES[name]], {
        stdio: "inherit",
      });
      return binary;
    });
  }

  /** The commands of a program that does nothing, on the runtime of each of our programs. */
  emptyPrograms(): readonly OurProgram[] {
    return this.once("empty", () => {
      const source = this.file("empty.ts");
      fs.writeFileSync(source, "");
      const binary = this.file("empty-bun");
      execFileSync(findBun(), ["build", "--compile", "--minify", source, "--outfile", binary], {
        stdio: ["ignore", "ignore", "inherit"],
        cwd: this.directory,
      });
      const bun = { name: "empty program, Bun binary", command: [binary] };
      return this.programs.map(({ command }) =>
        /(^|\/)deno$/.test(command[0]!) ? { name: "empty program, Deno", command: [...DENO, source] } : bun
      );
    });
  }

  /** Returns the path of a file of `count` lines, each with `length` bytes and a newline. */
  lines(length: number, count: number): string {
    const file = this.file(`lines-${length}-${count}`);
    if (fs.existsSync(file)) return file;
    const line = `${"x".repeat(length)}\n`;
    const perBlock = Math.max(1, Math.floor((1 << 20) / line.length));
    const block = line.repeat(perBlock);
    const out = fs.openSync(file, "w");
    for (let left = count; left > 0; left -= perBlock) {
      fs.writeSync(out, left < perBlock ? line.repeat(left) : block);
    }
    fs.closeSync(out);
    this.atEnd(file, () => Promise.resolve(fs.rmSync(file)));
    return file;
  }

  /** The keys of the server, for rows with CURVE. */
  keys(): Promise<ServerKeys> {
    return this.once("keys", async () => {
      const { publicKey, secretKey } = await generateKeyPair();
      const file = this.file("server.key_secret");
      fs.writeFileSync(file, formatKeyFile("for one run", { publicKey, secretKey }), { mode: 0o600 });
      return { path: file, publicKey: encodeZ85(publicKey), secretKey: encodeZ85(secretKey) };
    });
  }

  file(name: string): string {
    return path.join(this.directory, name);
  }

  /** Ends what was started for a group. */
  async endGroup(): Promise<void> {
    const ends = this.#onEnd.reverse();
    this.#onEnd = [];
    for (const end of ends) await end();
  }

  async close(): Promise<void> {
    await this.endGroup();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}
