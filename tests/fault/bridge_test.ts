/**
 * A chain of bridges from ZeroMQ to a file, in which every process is killed (-9) once on the way:
 *
 *     pyzmq PUSH -> bridge -> RabbitMQ -> bridge, MQTT QoS 1 -> our broker -> pull, STOMP -> file
 *
 * MQCAT_BRIDGE_MESSAGES is the number of messages. Default: 20000
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";
import { after, describe } from "node:test";
import { requirePeer, type TempDir, tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, Program, readyFile, run, start } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";
import { hasPyzmq } from "../support/pyzmq.ts";
import { isInstalled, rabbitMq, stopRabbitMq } from "../support/rabbitmq.ts";

const COUNT = Number(process.env["MQCAT_BRIDGE_MESSAGES"] ?? 20_000);
/** The time limit of one step, in milliseconds. */
const STEP_MS = 2 * PATIENCE + COUNT * 4;

const test = requirePeer("rabbitmq-server and pyzmq", isInstalled && hasPyzmq, 8 * STEP_MS);

/** Sends the numbers of a range from a PUSH socket. */
const PUSHER = `
import sys, zmq
context = zmq.Context()
socket = context.socket(zmq.PUSH)
socket.connect(sys.argv[1])
for i in range(int(sys.argv[2]), int(sys.argv[3])): socket.send(b"%d" % i)
socket.close()
context.term()`;

/** The lines of the files that the killed and the running receivers have written. A line without its end does not count. */
class Received {
  readonly #dir: TempDir;
  readonly #seen = new Uint8Array(COUNT);
  readonly #offsets: number[] = [];
  unique = 0;
  total = 0;

  constructor(dir: TempDir) {
    this.#dir = dir;
  }

  /** The path of the next file. */
  next(): string {
    return this.#dir.file(`out${this.#offsets.push(0) - 1}`);
  }

  /** Reads what the files have more than before. */
  read(): void {
    this.#offsets.forEach((offset, i) => {
      const path = this.#dir.file(`out${i}`);
      const file = fs.openSync(path, "r");
      try {
        const block = new Uint8Array(1 << 20);
        for (let at = offset;;) {
          const size = fs.readSync(file, block, 0, block.length, at);
          const end = block.lastIndexOf(0x0a, size - 1) + 1;
          if (size === 0 || end === 0) break;
          for (const line of new TextDecoder().decode(block.subarray(0, end - 1)).split("\n")) {
            this.#add(Number(line));
          }
          at = this.#offsets[i] = at + end;
        }
      } finally {
        fs.closeSync(file);
      }
    });
  }

  /** Waits until a share of all messages has arrived. */
  async reaches(share: number): Promise<void> {
    await waitFor(
      () => {
        this.read();
        return this.unique >= COUNT * share;
      },
      STEP_MS,
      `${share * 100} % of the messages (${this.unique} of ${COUNT} arrived)`,
    );
  }

  #add(number: number): void {
    assert.ok(
      Number.isInteger(number) && number >= 0 && number < COUNT,
      `not one of the messages: ${number}`,
    );
    this.total++;
    if (this.#seen[number] === 0) this.unique++;
    this.#seen[number] = 1;
  }
}

describe("bridge", () => {
  after(stopRabbitMq);

  test("a chain of systems, each process killed once - nothing is lost", async () => {
    using dir = tempDir();
    const rabbit = await rabbitMq();
    const [zmq, amqp, mqtt, stomp] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const received = new Received(dir);
    const running = new Map<string, Program>();
    /** The arguments of each command. */
    const commands: Record<string, readonly string[]> = {
      "broker": [
        "queue",
        "serve",
        `:${amqp}`,
        `mqtt://:${mqtt}`,
        `stomp://:${stomp}`,
        "--data",
        dir.file("data"),
      ],
      "first bridge": [
        ...["proxy", "--pattern", "pushpull", "--from", `@tcp://127.0.0.1:${zmq}`],
        ...["--to", `${rabbit.url}//chain`, "--declare"],
      ],
      "second bridge": [
        ...["proxy", "--pattern", "pull-pub", "--from", `${rabbit.url}//chain`],
        ...["--to", `mqtt://127.0.0.1:${mqtt}/chain`],
      ],
      "receiver": ["pull", `stomp://127.0.0.1:${stomp}/queue/chain`],
    };
    let starts = 0;
    /** Starts a command, and waits until it is connected. */
    const up = async (name: string) => {
      const ready = dir.file(`ready-${++starts}`);
      const stdout = name === "receiver" ? { stdout: received.next() } : {};
      running.set(name, start([...commands[name]!, "--ready-file", ready], stdout));
      await readyFile(ready);
    };
    const kill = async (name: string) => {
      const program = running.get(name)!;
      program.kill("SIGKILL");
      await program.exit();
      console.log(`killed the ${name}: ${received.unique} of ${COUNT} arrived`);
      await up(name);
    };
    const push = (from: number, to: number) => {
      const words = [`tcp://127.0.0.1:${zmq}`, String(from), String(to)];
      running.set("pusher", new Program(["/usr/bin/python3", "-c", PUSHER, ...words], {}));
    };
    try {
      await up("broker");
      const url = ["--url", `amqp://127.0.0.1:${amqp}`];
      for (const args of [["declare", "chain"], ["bind", "chain", "amq.topic", "-t", "chain"]]) {
        assert.equal((await run(["queue", ...args, ...url])).code, 0);
      }
      for (const name of ["first bridge", "second bridge", "receiver"]) await up(name);

      const half = Math.floor(COUNT / 2);
      push(0, half);
      await received.reaches(0.05);
      await kill("second bridge");
      await received.reaches(0.15);
      await kill("broker");
      await received.reaches(0.3);
      await kill("receiver");
      await received.reaches(half / COUNT);
      // What a bridge has received from ZeroMQ is not acknowledged, so it must have nothing at this time.
      await kill("first bridge");
      push(half, COUNT);
      await received.reaches(0.6);
      await rabbit.kill();
      console.log(`killed RabbitMQ: ${received.unique} of ${COUNT} arrived`);
      await received.reaches(1);
      console.log(`${received.total - COUNT} of ${COUNT} messages arrived twice`);
      assert.equal((await running.get("pusher")!.exit()).code, 0);
      for (const name of ["first bridge", "second bridge", "receiver"]) {
        const program = running.get(name)!;
        program.kill();
        assert.equal((await program.exit()).code, 143, program.stderr);
      }
    } catch (error) {
      for (const [name, { stderr }] of running) console.log(`${name}: ${stderr}`);
      throw error;
    } finally {
      for (const program of running.values()) program[Symbol.dispose]();
    }
  });
});
