/**
 * Shows mqcat on three systems with real processes on this machine: sockets, ZeroMQ, and a broker for AMQP clients. Each
 * part compares its result with that of coreutils, and the demo fails if one differs.
 */
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { check, Shell, until } from "./demo/shell.ts";

/** A text with sentences, lists and code: the manual of commander, which is an installed dependency. */
const TEXT = fileURLToPath(new URL("../node_modules/commander/Readme.md", import.meta.url));
/** A client that is not ours sends each line of stdin to the queue `jobs`, and prints as many messages of `results`. */
const PIKA = `import os, sys, pika
channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.confirm_delivery()
lines = sys.stdin.read().splitlines()
for line in lines: channel.basic_publish("", "jobs", line)
for count, (method, _, body) in enumerate(channel.consume("results"), 1):
    print(body.decode())
    channel.basic_ack(method.delivery_tag)
    if count == len(lines): break
`;

async function sockets(shell: Shell): Promise<void> {
  title("Sockets: send a file to an echo server, and get it back");
  const server = shell.start("mqcat echo-server -q 127.0.0.1:0 --once --ready-file echo");
  const [endpoint] = await shell.ready("echo");
  // Commands name files of the folder only: another path may have spaces.
  const file = "deno";
  fs.symlinkSync(process.execPath, shell.path(file));
  await shell.end(shell.start(`mqcat echo-client -q ${endpoint} <${file} >echoed`), server);
  const megabytes = (fs.statSync(shell.path(file)).size / 1e6).toFixed(0);
  check(
    `${megabytes} MB came back with the same checksum`,
    shell.read("cksum <echoed"),
    shell.read(`cksum <${file}`),
  );
}

async function workers(shell: Shell): Promise<void> {
  title("ZeroMQ, push and pull: three workers split lines into words, and one sink counts them");
  fs.writeFileSync(shell.path("text"), fs.readFileSync(TEXT, "utf8").repeat(50));
  const count = "sort | uniq -c | sort -k1,1nr -k2";
  const words = "tr -cs A-Za-z '\\n' | grep .";
  const sink = shell.start(`mqcat pull -q ipc://words --transient --ready-file sink | ${count} >counted`);
  await shell.ready("sink");
  const split = [1, 2, 3].map((n) =>
    shell.start(
      `mqcat pull -q '>ipc://lines' --transient | ${words} | mqcat push -q ipc://words --ready-file worker${n}`,
    )
  );
  await shell.ready("worker1", "worker2", "worker3");
  await shell.end(shell.start("mqcat push -q @ipc://lines --wait-peers 3 <text"), ...split, sink);
  const lines = shell.read("wc -l <text").trim();
  check(
    `${lines} lines gave the counts of coreutils`,
    shell.read("cat counted"),
    shell.read(`cat text | ${words} | ${count}`),
  );
}

async function filter(shell: Shell): Promise<void> {
  title("ZeroMQ, publish and subscribe: a filter passes on the NASDAQ quotes of two feeds");
  for (
    const [file, exchanges] of [["quotes1", ["NASDAQ", "NYSE"]], ["quotes2", ["LSE", "NASDAQ"]]] as const
  ) {
    const quotes = Array.from(
      { length: 1000 },
      (_, i) => `${exchanges[i % 2]} ACME${i} ${(100 + i / 7).toFixed(2)}\n`,
    );
    fs.writeFileSync(shell.path(file), quotes.join(""));
  }
  const reader = shell.start("mqcat sub -q ipc://nasdaq-feed --transient >feed");
  const proxy = shell.start(
    "mqcat proxy -q --pattern pubsub -t NASDAQ --from ipc://feed1 --from ipc://feed2 --to ipc://nasdaq-feed --transient",
  );
  const feeds = [1, 2].map((n) => shell.start(`mqcat pub -q ipc://feed${n} <quotes${n}`));
  await shell.end(...feeds, proxy, reader);
  check(
    "the same 1000 lines as grep",
    shell.read("sort feed"),
    shell.read("grep -h ^NASDAQ quotes1 quotes2 | sort"),
  );
}

async function queue(shell: Shell): Promise<void> {
  title("A broker and a queue: one of two workers is killed, and no job is lost");
  const broker = shell.start("exec mqcat queue serve -q 127.0.0.1:0 --data spool --ready-file broker");
  [shell.env["AMQP_URL"]] = await shell.ready("broker");
  await shell.end(shell.start("seq 300 | mqcat queue put -q jobs --declare"));
  const [victim, survivor] = [1, 2].map((n) =>
    shell.start(`mqcat queue get -q jobs --drain --exec 'sleep 0.02; echo done $(cat)' -j 4 >worker${n}`)
  );
  await until(() => [1, 2].every((n) => shell.sizeOf(`worker${n}`) > 200));
  console.log("  $ kill -9 the first worker");
  await shell.kill(victim!, "SIGKILL");
  await shell.end(survivor!);
  const [one, two] = [1, 2].map((n) => shell.read(`wc -l <worker${n}`).trim());
  check(
    `300 jobs are done: ${one} by the killed worker, ${two} by the other`,
    shell.read("sort -u worker1 worker2"),
    shell.read("seq -f 'done %.0f' 300 | sort -u"),
  );
  await otherClient(shell);
  await shell.kill(broker, "SIGTERM");
}

/** Sends jobs to our worker with a client that is not ours, and reads the results with it. */
async function otherClient(shell: Shell): Promise<void> {
  title("AMQP: a client that is not ours uses the same broker");
  const client = findClient(shell);
  if (client === undefined) return console.log("  skipped: neither python3-pika nor amqp-tools is installed");
  await shell.end(shell.start("mqcat queue declare -q results"));
  shell.read("grep . text | head -n 500 >lines");
  // `amqp-publish -l` sends each line with its newline, so that empty lines follow.
  const worker = shell.start(
    "mqcat queue get -q jobs -n 500 | grep . | tr a-z A-Z | mqcat queue put -q results",
  );
  await shell.end(shell.start(client), worker);
  check(
    "500 lines came back in capitals, as with tr",
    shell.read("cat answers"),
    shell.read("tr a-z A-Z <lines"),
  );
}

/** The command of a client that is installed. */
function findClient(shell: Shell): string | undefined {
  const runs = (command: string) => shell.read(`${command} >/dev/null 2>&1 && echo yes || true`) !== "";
  fs.writeFileSync(shell.path("client.py"), PIKA);
  if (runs("/usr/bin/python3 -c 'import pika'")) return "/usr/bin/python3 client.py <lines >answers  # pika";
  if (!runs("command -v amqp-publish")) return undefined;
  const [publish, consume] = ["publish", "consume"].map((name) => `amqp-${name} --url="$AMQP_URL"`);
  return `${publish} -l -r jobs <lines && ${consume} -q results -c 500 grep . >answers`;
}

function title(words: string): void {
  console.log(`\n${words}`);
}

const began = performance.now();
{
  using shell = new Shell();
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    process.on(signal, () => {
      shell[Symbol.dispose]();
      process.exit(code);
    });
  }
  for (const part of [sockets, workers, filter, queue]) await part(shell);
}
console.log(`\nAll parts succeeded, in ${((performance.now() - began) / 1000).toFixed(1)} s.`);
