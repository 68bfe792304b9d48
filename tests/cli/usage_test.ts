/** Exit code 2: messages name the input, the error and the remedy. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { run, start, test } from "../support/mqcat.ts";

/** Command lines, and a pattern of the expected message. */
const MISTAKES: [string[], RegExp][] = [
  // Commands
  [["plush"], /^mqcat: there is no command 'plush' \(did you mean push\?\); mqcat --help lists them$/m],
  [["frobnicate"], /^mqcat: there is no command 'frobnicate'; mqcat --help lists them$/m],
  [["--frobnicate"], /^mqcat: there is no option '--frobnicate' before a command \(try mqcat COMMAND/m],
  [["-v"], /^mqcat: there is no option '-v' before a command/m],
  [["put", "jobs"], /there is no command 'put' \(did you mean queue put\?\)/m],
  [["queue", "run", "--", ""], /^mqcat: queue run: the command must not be empty/m],
  // Files
  [["pull", ":0", "-q", "--ready-file", "/tmp"], /--ready-file '\/tmp': it is a directory, not a file$/m],
  [
    ["pull", ":0", "-q", "--ready-file", "/no/x"],
    /--ready-file '\/no\/x': there is no such file or directory$/m,
  ],
  [["push", ":1", "-F", "/no/x"], /-F '\/no\/x': there is no such file or directory$/m],
  [["push", ":1", "-F", "/tmp"], /-F '\/tmp': it is a directory, not a file$/m],
  [["sub", "wss://h:1", "--cacert", "/no/x"], /--cacert '\/no\/x': there is no such file or directory$/m],
  [["sub", "wss://h:1", "--cacert", "/tmp"], /--cacert '\/tmp': it is a directory, not a file$/m],
  [["sub", "wss://h:1", "--cacert", "/dev/null"], /--cacert '\/dev\/null': it is not a PEM file/m],
  [["replay", "/no/x", ":1"], /'\/no\/x' cannot be read: there is no such file or directory$/m],
  [
    ["queue", "serve", "--memory", "--users-file", "/tmp"],
    /--users-file '\/tmp': it is a directory, not a file$/m,
  ],
  // Queues
  [["queue", "put", "q", "-P", "priority=high"], /--property 'priority=high': priority is a whole number$/m],
  [["bench", "push-pull", "-s", "5G"], /--size '5G': the largest message is 1G$/m],
  [["queue", "put", "jobs", "hello"], /too many arguments: expected 1, .*\(-D TEXT sends a text\)$/m],
  [
    ["queue", "get", "amqp://me:secret@h//jobs"],
    /^mqcat: queue get: expected the name of a queue, received an address: --url amqp:\/\/host\/vhost names the broker$/m,
  ],
  [["queue", "serve", "5672", "--memory"], /cannot listen on '5672': it has no host \(try :5672\)$/m],
  // Options
  [["push", ":1", "--lingr", "1"], /^mqcat: push: .*unknown option '--lingr'.*--linger/m],
  [
    ["pull", ":1", "--linger", "1"],
    /^mqcat: pull: .*unknown option '--linger': \d+ other commands have it, such as pub$/m,
  ],
  [["push", ":1", "--transient"], /unknown option '--transient': \d+ other commands have it, such as sub$/m],
  [["pub", ":1", "--echo"], /unknown option '--echo': rep has it$/m],
  [["pull", ":1", "-t", "x"], /unknown option '-t': \d+ other commands have it, such as pub$/m],
  [["push", ":1", "--frobnicate"], /^mqcat: push: unknown option '--frobnicate'$/m],
  [["push", ":1", "-n"], /^mqcat: push: .*'-n, --count <number>' needs a value$/m],
  [["push", ":1", "--on-full", "explode"], /--on-full 'explode': expected one of block, drop, fail$/m],
  [["pull", ":1", "--out", "csv"], /--out 'csv': expected one of lines, null, blob, json, u32$/m],
  [["push", ":1", "--in", "csv"], /--in 'csv': expected one of lines, null, blob, json, u32$/m],
  [["push", ":1", "--log-format", "xml"], /--log-format 'xml': expected one of text, json$/m],
  [["push", ":1", "--hwm", "0"], /--hwm '0': expected a whole number of at least 1$/m],
  [["push", ":1", "--wait-peers", "many"], /--wait-peers 'many': expected a whole number of at least 0$/m],
  [["push", ":1", "--linger", "5 sec"], /--linger '5 sec': expected a duration such as 500ms, 3s, 1m/m],
  [["push", ":1", "-F", ""], /--file '': it must not be empty$/m],
  [["radio", ":1", "-g", ""], /--group '': it must not be empty$/m],
  [["dish", ":0", "-g", ""], /--group '': it must not be empty$/m],
  [["queu", "list"], /there is no command 'queu' \(did you mean queue\?\)/m],
  [["help", "push", "pull"], /help is about one command: mqcat help push$/m],
  [["help", "queue", "put", "get"], /help is about one command: mqcat help queue put$/m],
  [["help", "formats", "x"], /help is about one topic: mqcat help formats$/m],
  [["version", "x"], /version takes no other words, received 'x'$/m],
  // Endpoints
  [["push"], /^mqcat: push: no endpoint was given \(try: mqcat push :5555\)$/m],
  [["pull", "5555"], /endpoint '5555': it has neither a transport nor a port \(try :5555\)$/m],
  [["pull", "host"], /endpoint 'host': it has neither a transport nor a port \(try host:5555\)$/m],
  [["pull", "/tmp/x"], /endpoint '\/tmp\/x': .*\(try ipc:\/\/\/tmp\/x\)$/m],
  [["pull", ""], /endpoint '': it is empty \(try :5555 or tcp:\/\/127\.0\.0\.1:5555\)$/m],
  [
    ["pull", "tpc://h:1"],
    /does not know 'tpc:\/\/…' \(did you mean tcp:\/\/\?\); mqcat help addresses lists/m,
  ],
  // It may be the misspelled URL of a broker, with a password.
  [
    ["push", "amqq://u:secret@h"],
    /^mqcat: push: mqcat does not know 'amqq:\/\/…' \(did you mean amqp:\/\/\?\)/m,
  ],
  [["push", "kafka://h:9092"], /does not know 'kafka:\/\/…'; mqcat help addresses lists all addresses$/m],
  [
    ["completion"],
    /missing required argument 'shell' \(mqcat completion <shell>: bash, zsh, fish, powershell\)$/m,
  ],
  [["pull", "tcp://h"], /endpoint 'tcp:\/\/h': the port is missing \(try tcp:\/\/h:5555\)$/m],
  [
    ["pull", "tcp://h:x"],
    /endpoint 'tcp:\/\/h:x': 'x' is not a port number \(try a number from 0 to 65535\)$/m,
  ],
  [["pull", ":65536"], /endpoint ':65536': port 65536 is over 65535/m],
  [["pull", "tcp://::1:5"], /an IPv6 address needs brackets \(try tcp:\/\/\[::1\]:5\)$/m],
  [
    ["push", "amqp"],
    /'amqp' is not an address \(try amqp:NAME at the broker in use, or amqp:\/\/host\/…\)$/m,
  ],
  [["pull", "ipc:"], /endpoint 'ipc:': the path is missing \(try ipc:\/\/\/tmp\/feed\)$/m],
  [["probe", "amqp:jobs"], /'amqp:…' is at the broker in use: .*\(try amqp:\/\/localhost\)$/m],
  [["pull", "ipc://"], /endpoint 'ipc:\/\/': the path is missing \(try ipc:\/\/\/tmp\/feed\)$/m],
  [["pull", `ipc:///${"x".repeat(107)}`], /the path has 108 bytes and a Unix socket takes 107/m],
  [["pull", "tcp://no-such.invalid:0"], /there is neither an interface nor a host 'no-such\.invalid'$/m],
  [["pull", "inproc://x"], /inproc:\/\/x: inproc connects within one process, .* \(try :5555\)$/m],
  [
    ["proxy", "--pattern", "pubsub", "--from", ":1", "--to", "inproc://x"],
    /inproc connects within one process/,
  ],
  [
    ["proxy", "--pattern", "pubsub", "--from", ":1", "--to", ":0", "-J"],
    /-J has an effect with --tap - only$/m,
  ],
  [
    ["proxy", "--pattern", "pubsub", "--from", ":1", "--to", ":0", "--tap", ":0", "-f", "%s"],
    /-f has an effect with --tap - only$/m,
  ],
  [["pull", "tcp://256.1.1.1:0"], /cannot bind tcp:\/\/256\.1\.1\.1:0: /],
  [["dish", "udp://no-such.invalid:0", "-g", "a"], /the host name 'no-such\.invalid' does not resolve$/m],
  [["pull", "-b", "nowhere"], /--bind 'nowhere': .*neither a transport nor a port/m],
  [["pull", "@"], /endpoint '': it is empty/m],
  [
    ["pull", "udp://127.0.0.1:0"],
    /pull takes tcp, ipc, ws, wss, not udp:\/\/ \(radio, dish, echo-server and echo-client do\)$/m,
  ],
  [
    ["pull", "tls://127.0.0.1:0"],
    /pull takes tcp, ipc, ws, wss, not tls:\/\/ \(echo-server and echo-client do\)$/m,
  ],
];

describe("usage errors", () => {
  test("usage errors - exit with 2, name the input and the remedy, and print nothing on stdout", async () => {
    const wrong: string[] = [];
    // A few at a time, because each one is a process.
    const queue = [...MISTAKES];
    const worker = async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const [args, expected] = next;
        const { code, stdout, stderr } = await run(args, { stdin: "" });
        const neat = stdout.length === 0 && /^mqcat: [^\n]+\n$/.test(stderr);
        if (code !== 2 || !neat || !expected.test(stderr)) {
          wrong.push(`${args.join(" ")} -> ${code} ${stderr}`);
        }
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    assert.deepEqual(wrong, []);
  });

  test("an endpoint that cannot be bound - exits with 1 if another program uses it, else with 2", async () => {
    using pull = start(["pull", ":0"]);
    const endpoint = await pull.readyEndpoint();
    const taken = await run(["pull", endpoint]);
    assert.equal(taken.code, 1);
    assert.match(
      taken.stderr,
      /^mqcat: pull: cannot bind tcp:\/\/127\.0\.0\.1:\d+: the address is in use: /m,
    );
    const foreign = await run(["pull", "tcp://192.0.2.1:0"]);
    assert.equal(foreign.code, 2);
    assert.match(
      foreign.stderr,
      /cannot bind tcp:\/\/192\.0\.2\.1:0: the address does not belong to this machine/,
    );
    const folder = await run(["pull", "ipc:///no/such/folder/feed"]);
    assert.equal(folder.code, 2);
    assert.match(folder.stderr, /cannot bind ipc:\/\/\/no\/such\/folder\/feed: the folder does not exist/);
  });

  test("-vv - is the only option that prints a stack trace", async () => {
    const args = ["pull", "ipc:///no/such/folder/feed"];
    assert.doesNotMatch((await run([...args, "-v"])).stderr, /^ {4}at /m);
    assert.match((await run([...args, "-vv"])).stderr, /^ {4}at /m);
  });
});
