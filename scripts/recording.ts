/**
 * Records a session of two real terminals side by side, and draws it as an animated SVG for the README:
 *
 *   deno task recording dist/mqcat-bun docs/recording.svg
 *
 * The program is called `mqcat` in the session. The ports in its text must be free, and pika and mosquitto_pub installed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";

/** How long a viewer sees the terminals before the next command, in milliseconds. */
const PAUSE = 1500;
const DEADLINE = 10_000;
const COLUMNS = 60;

/** What is typed into which terminal, and the text that appears before the next step. */
type Step = readonly [
  terminal: "left" | "right",
  typed: string,
  terminalOfResult: "left" | "right",
  result: string,
];

const STEPS: readonly Step[] = [
  ["left", "# ZeroMQ: push and pull", "left", "pull"],
  ["left", "mqcat pull :5555 -n 3", "left", "listening"],
  ["right", "seq 3 | mqcat push :5555", "left", "\r\n3\r\n$ "],
  ["left", "# ZeroMQ: a service in shell", "left", "shell"],
  ["left", "mqcat rep :5555 --exec 'tr a-z A-Z' -n 1", "left", "listening"],
  ["right", "mqcat req :5555 -D hello", "right", "HELLO\r\n$ "],
  ["left", "# a broker: MQTT sensors, an AMQP subscriber", "left", "subscriber"],
  ["left", "mqcat queue serve :5672 mqtt://:1883 --memory -q &", "left", "$ "],
  ["left", "mqcat sub amqp:amq.topic -t '#' -K ' ' -n 2", "left", "amq"],
  ["right", "mqcat push mqtt:sensors/7/temp -D 21.5", "left", "21.5"],
  ["right", "mosquitto_pub -t sensors/8/temp -m 19.0", "left", "19.0"],
  ["right", "# a broker for the time of a test", "right", "test"],
  ["right", "mqcat queue run -- python3 test_orders.py", "right", "passed\r\n$ "],
];

const TEST = `import os, pika
channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.queue_declare("orders")
channel.basic_publish("", "orders", b"2 books")
assert channel.basic_get("orders", auto_ack=True)[2] == b"2 books"
print("passed")
`;

/** A line of a terminal, and when it got its last character, in milliseconds from the start. */
export interface Line {
  text: string;
  time: number;
}

/** A shell in a pseudoterminal. */
class Terminal {
  readonly lines: Line[] = [{ text: "", time: 0 }];
  output = "";
  readonly #shell: ChildProcess;

  constructor(directory: string, began: number) {
    fs.writeFileSync(path.join(directory, "rc"), `PS1='$ '; stty cols ${COLUMNS}\n`);
    this.#shell = spawn("script", ["-qfec", "bash --noprofile --rcfile rc", "/dev/null"], {
      cwd: directory,
      env: { ...process.env, TERM: "dumb", PATH: `${directory}:/usr/bin:${process.env.PATH}` },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#shell.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
      appendTo(this.lines, text, performance.now() - began);
    });
  }

  type(text: string): void {
    this.#shell.stdin!.write(`${text}\n`);
  }

  /** Waits for a text in what was printed since the length `from`. */
  async shows(text: string, from: number): Promise<void> {
    for (const deadline = performance.now() + DEADLINE; !this.output.slice(from).includes(text);) {
      if (performance.now() > deadline) throw new Error(`'${text}' did not appear in:\n${this.output}`);
      await sleep(5);
    }
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#shell.once("close", resolve));
    this.type("kill %1; wait; exit");
    await ended;
  }
}

/** Appends what a terminal prints to its lines. */
export function appendTo(lines: Line[], text: string, time: number): void {
  for (const piece of text.split(/(\r?\n)/)) {
    if (/^\r?\n$/.test(piece)) {
      lines.push({ text: "", time });
    } else if (piece !== "") {
      const line = lines.at(-1)!;
      line.text += piece.replaceAll("\r", "");
      line.time = time;
    }
  }
}

async function record(program: string): Promise<readonly Line[][]> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-recording-"));
  try {
    fs.symlinkSync(path.resolve(program), path.join(directory, "mqcat"));
    fs.writeFileSync(path.join(directory, "test_orders.py"), TEST);
    const began = performance.now();
    const terminals = { left: new Terminal(directory, began), right: new Terminal(directory, began) };
    for (const terminal of Object.values(terminals)) await terminal.shows("$ ", 0);
    for (const [terminal, typed, other, result] of STEPS) {
      await sleep(PAUSE);
      const from = terminals[other].output.length;
      terminals[terminal].type(typed);
      await terminals[other].shows(result, from);
    }
    const lines = Object.values(terminals).map((terminal) => terminal.lines.map((line) => ({ ...line })));
    await Promise.all(Object.values(terminals).map((terminal) => terminal.close()));
    const error = lines.flat().find(({ text }) => text.includes("cannot"));
    if (error !== undefined) throw new Error(error.text);
    return lines;
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

const FONT = 12;
const ROW = 17;
const PANE = COLUMNS * FONT * 0.6 + 24;

/** Draws the terminals: each line appears at its time; viewers that prefer no motion see all of them. */
export function renderRecording(terminals: readonly (readonly Line[])[]): string {
  const last = Math.max(...terminals.flat().map(({ time }) => time));
  const duration = last + 5000;
  const rows = Math.max(...terminals.map((lines) => lines.length));
  const [width, height] = [Math.ceil(PANE * terminals.length + 12 * (terminals.length + 1)), rows * ROW + 44];
  const times = [...new Set(terminals.flat().map(({ time }) => Math.round(time)))].sort((a, b) => a - b);
  const styles = times.map((time, at) => {
    const shown = (100 * time / duration).toFixed(2);
    return `@keyframes k${at}{0%{opacity:0}${shown}%{opacity:1}}.k${at}{animation:k${at} ${
      (duration / 1000).toFixed(1)
    }s steps(1,end) infinite}`;
  });
  const panes = terminals.map((lines, pane) => {
    const left = 12 + pane * (PANE + 12);
    const texts = lines.flatMap(({ text, time }, row) => {
      if (text === "" || text === "$ ") return [];
      const kind = text.startsWith("$ #") ? " note" : text.startsWith("$ ") ? " typed" : "";
      const y = 38 + row * ROW;
      return `<text x="${left + 12}" y="${y}" class="k${times.indexOf(Math.round(time))}${kind}">${
        escaped(text)
      }</text>`;
    });
    return `<rect x="${left}" y="12" width="${PANE}" height="${height - 24}" rx="6"/>\n${texts.join("\n")}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="A session of mqcat in two terminals">
<style>
rect{fill:#f6f8fa;stroke:#d0d7de}text{font:${FONT}px ui-monospace,Menlo,Consolas,monospace;fill:#1f2328;white-space:pre}
.typed{font-weight:600}.note{fill:#59636e}
@media (prefers-color-scheme:dark){rect{fill:#161b22;stroke:#30363d}text{fill:#e6edf3}.note{fill:#9198a1}}
@media (prefers-reduced-motion:no-preference){${styles.join("\n")}}
</style>
${panes.join("\n")}
</svg>
`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

if (import.meta.main) {
  const [program, file] = process.argv.slice(2);
  if (program === undefined || file === undefined) {
    console.error("usage: deno task recording PROGRAM FILE.svg");
    process.exit(2);
  }
  fs.writeFileSync(file, renderRecording(await record(program)));
}
