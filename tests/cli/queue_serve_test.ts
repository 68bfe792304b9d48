/** The embedded broker from the command line: `queue serve`, a directory without a daemon, and `queue run`. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { describe } from "node:test";
import { requirePeer, tempDir, waitFor } from "../support/helpers.ts";
import {
  type Exit,
  PATIENCE,
  readyFile,
  run,
  shell,
  start,
  type StartOptions,
  test,
} from "../support/mqcat.ts";

const withOpenssl = requirePeer("openssl");
const lines = (count: number) => Array.from({ length: count }, (_, i) => `line ${i + 1}\n`).join("");
const queue = (args: readonly string[], options: StartOptions = {}): Promise<Exit> =>
  run(["queue", ...args], options);

/** Runs it; it must end well and silently. */
async function well(args: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await queue(args, stdin === undefined ? {} : { stdin });
  assert.deepEqual([code, stderr], [0, ""], args.join(" "));
  return stdout.toString();
}

function serve(...options: string[]) {
  return start(["queue", "serve", ":0", ...options]);
}

describe("queue serve", () => {
  test("a name with control characters - cannot change the terminal of the one who lists it", async () => {
    using dir = tempDir();
    const name = "red\x1b[31m\b\x9b2J";
    const data = ["--data", dir.file("data")];
    await well(["declare", name, ...data]);
    const shown = "red\\u001b[31m\\u0008\\u009b2J";
    assert.ok((await well(["list", ...data])).includes(`\n${shown}  classic `));
    assert.ok((await well(["info", name, ...data])).startsWith(`name: ${shown}\n`));
    const json = await well(["list", "-J", ...data]);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(json.trimEnd(), /[\x00-\x1f\x7f-\x9f]/);
    assert.equal(JSON.parse(json).name, name);
  });

  test("move - creates no directory when there is nothing to move", async () => {
    using dir = tempDir();
    const { code, stderr } = await queue(["move", "a", "b", "--data", dir.file("none")]);
    assert.deepEqual([code, fs.existsSync(dir.file("none"))], [2, false], stderr);
  });

  test("prints its address and its data directory on stderr, and writes the ready file; SIGTERM ends it", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    const args = [
      "queue",
      "serve",
      ":0",
      "amqp://127.0.0.1:0",
      "--data",
      dir.file("data"),
      "--ready-file",
      ready,
    ];
    using broker = start(args);
    const endpoints = await readyFile(ready);
    assert.equal(endpoints.length, 2);
    for (const endpoint of endpoints) {
      assert.match(endpoint, /^amqp:\/\/127\.0\.0\.1:[1-9]\d*$/);
      const line = `listening on ${endpoint} (messages in ${dir.file("data")})\n`;
      await waitFor(() => broker.stderr.includes(line), PATIENCE, line);
      await well(["put", "--declare", "x", "-D", "y", "--url", endpoint]);
    }
    using get = start(["queue", "get", "x", "--url", endpoints[0]!]);
    await get.waitForStdout(/y\ny\n/);
    broker.kill("SIGTERM");
    const { code, stdout } = await broker.exit();
    assert.deepEqual([code, stdout.length], [143, 0]);
    // The client gets the reason (320), and reconnects.
    await get.waitForStderr(/lost amqp:.*CONNECTION_FORCED.*connecting again/);
  });

  test("without --data messages are stored under XDG_STATE_HOME, with --memory not at all", async () => {
    using dir = tempDir();
    const env = { XDG_STATE_HOME: dir.path };
    using broker = start(["queue", "serve", ":0"], { env });
    await well(["put", "--declare", "kept", "-D", "x", "--url", await broker.readyEndpoint()]);
    assert.ok(broker.stderr.includes(`(messages in ${dir.file("mqcat/queue")})`), broker.stderr);
    assert.equal(fs.statSync(dir.file("mqcat/queue")).mode & 0o777, 0o700);
    broker.kill("SIGINT");
    assert.equal((await broker.exit()).code, 130);
    assert.equal(await well(["get", "kept", "--drain", "--data", dir.file("mqcat/queue")]), "x\n");
    using memory = start(["queue", "serve", ":0", "--memory"], { env: { XDG_STATE_HOME: dir.file("none") } });
    await memory.waitForStderr(/listening on .* \(messages in memory only\)/);
    assert.ok(!fs.existsSync(dir.file("none")));
  });

  test("--http - serves the API and metrics, for the same users; --ready-file has its address, too", async () => {
    using dir = tempDir();
    using broker = serve("--memory", "--http", ":0", "--ready-file", dir.file("ready"));
    const url = await broker.readyEndpoint();
    await well(["put", "--declare", "q", "-D", "x", "--url", url]);
    const [, api] = await broker.waitForStderr(/HTTP API on (http:\S+)/);
    assert.deepEqual(await readyFile(dir.file("ready")), [url, api]);
    const list = await queue(["list", "-J", "--url", url, "--http", api!]);
    const { name, messages_ready } = JSON.parse(list.stdout.toString());
    assert.deepEqual([name, messages_ready], ["q", 1]);
    const metrics = await fetch(`${api}/metrics`, {
      headers: { authorization: `Basic ${btoa("guest:guest")}` },
    });
    assert.match(await metrics.text(), /^rabbitmq_queue_messages_ready\b.* 1$/m);
    assert.equal((await queue(["list", "--url", url.replace("//", "//guest:no@"), "--http", api!])).code, 4);
  });

  test("--http - serves a web page, which is read-only without --http-write", async () => {
    for (const write of [false, true]) {
      using broker = serve("--memory", "--http", ":0", ...(write ? ["--http-write"] : []));
      const [, url] = await broker.waitForStderr(/page and HTTP API on (http:\S+)/);
      assert.match(await (await fetch(url!)).text(), /^<!doctype html>/);
      const script = await fetch(`${url}/page/client/app.js`);
      assert.equal(script.headers.get("content-type"), "text/javascript; charset=utf-8");
      assert.match(await script.text(), /import .* from "\.\.\/vendor\/preact\.js"/);
      const login = await fetch(`${url}/page/session`, {
        method: "POST",
        headers: { "x-mqcat": "page" },
        body: JSON.stringify({ user: "guest", password: "guest" }),
      });
      assert.equal((await login.json()).write, write);
    }
    const { code, stderr } = await queue(["serve", ":0", "--memory", "--http-write"]);
    assert.deepEqual([code, /add --http/.test(stderr)], [2, true], stderr);
  });

  test("users - come from a file, without guest; both sides report a wrong password", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("users"), "# who may come\nann:one:two\nbob:three\n");
    fs.writeFileSync(dir.file("password"), "s3cret\n");
    using broker = serve(
      "--memory",
      "--users-file",
      dir.file("users"),
      "--user",
      "me",
      "--password-file",
      dir.file("password"),
    );
    const address = (await broker.readyEndpoint()).replace("amqp://", "");
    for (const login of ["ann:one%3Atwo", "bob:three", "me:s3cret"]) {
      await well(["put", "--declare", "q", "-D", "x", "--url", `amqp://${login}@${address}`]);
    }
    for (const login of ["guest:guest", "me:n0pe", "ann:one"]) {
      const { code, stderr } = await queue([
        "put",
        "--declare",
        "q",
        "-D",
        "x",
        "--url",
        `amqp://${login}@${address}`,
      ]);
      assert.deepEqual([code, /wrong user or password/.test(stderr)], [4, true], stderr);
    }
    await broker.waitForStderr(/refused 127\.0\.0\.1:\d+: .*me/);
    assert.doesNotMatch(broker.stderr, /s3cret|n0pe|one/);
  });

  test("users of a file - SIGHUP reads it again, and a removed user stays removed after a restart", async () => {
    using dir = tempDir();
    const file = dir.file("users");
    const options = ["--data", dir.file("data"), "--users-file", file];
    const login = async (address: string, user: string) =>
      (await queue(["put", "--declare", "q", "-D", "x", "--url", `amqp://${user}@${address}`])).code;
    fs.writeFileSync(file, "ann:a\nbob:b\n");
    using broker = serve(...options);
    const address = (await broker.readyEndpoint()).replace("amqp://", "");
    assert.deepEqual([await login(address, "ann:a"), await login(address, "bob:b")], [0, 0]);
    fs.writeFileSync(file, "ann:new\nnonsense\n");
    broker.kill("SIGHUP");
    await broker.waitForStderr(/line 2 is not NAME:PASSWORD; the users stay unchanged/);
    assert.equal(await login(address, "ann:a"), 0);
    fs.writeFileSync(file, "ann:new\n");
    broker.kill("SIGHUP");
    await broker.waitForStderr(/read '.*' again/);
    assert.deepEqual(
      [await login(address, "ann:a"), await login(address, "ann:new"), await login(address, "bob:b")],
      [4, 0, 4],
    );
    broker.kill("SIGTERM");
    await broker.exit();
    fs.writeFileSync(file, "eve:e\n");
    using again = serve(...options);
    const there = (await again.readyEndpoint()).replace("amqp://", "");
    assert.deepEqual([await login(there, "eve:e"), await login(there, "ann:new")], [0, 4]);
    assert.equal(await login(there, "guest:guest"), 4);
  });

  test("--load-definitions - declares the queues, bindings and users of an export", async () => {
    using dir = tempDir();
    const definitions = {
      vhosts: [{ name: "/" }],
      queues: [{ name: "loaded", vhost: "/", durable: true, auto_delete: false, arguments: {} }],
      bindings: [{
        source: "amq.topic",
        vhost: "/",
        destination: "loaded",
        destination_type: "queue",
        routing_key: "a.#",
        arguments: {},
      }],
    };
    fs.writeFileSync(dir.file("definitions.json"), JSON.stringify(definitions));
    using broker = serve("--memory", "--load-definitions", dir.file("definitions.json"));
    const url = await broker.readyEndpoint();
    await well(["put", "--exchange", "amq.topic", "-t", "a.b", "-D", "x", "--url", url]);
    assert.equal(await well(["get", "loaded", "--drain", "--url", url]), "x\n");
  });

  test("--load-definitions - there is no guest when the definitions have users; a byte order mark is ignored", async () => {
    using dir = tempDir();
    const login = async (address: string, user: string) =>
      (await queue(["declare", "q", "--url", `amqp://${user}@${address}`])).code;
    const definitions = {
      vhosts: [{ name: "/" }],
      users: [{ name: "ann", password: "a", tags: ["administrator"] }],
      permissions: [{ user: "ann", vhost: "/", configure: ".*", write: ".*", read: ".*" }],
    };
    const file = dir.file("definitions.json");
    const data = dir.file("data");
    {
      // The first start makes guest, and the directory keeps it.
      using broker = serve("--data", data);
      const address = (await broker.readyEndpoint()).replace("amqp://", "");
      assert.equal(await login(address, "guest:guest"), 0);
      broker.kill();
      await broker.exit();
    }
    fs.writeFileSync(file, `\uFEFF${JSON.stringify(definitions)}`);
    using broker = serve("--data", data, "--load-definitions", file);
    const address = (await broker.readyEndpoint()).replace("amqp://", "");
    assert.deepEqual([await login(address, "ann:a"), await login(address, "guest:guest")], [0, 4]);
  });

  test("--load-definitions - lists all mistakes and does not start", async () => {
    using dir = tempDir();
    const queues = [{ name: "a", vhost: "gone" }, { name: 5, vhost: "/" }];
    fs.writeFileSync(dir.file("d.json"), JSON.stringify({ queues }));
    const { code, stderr } = await queue([
      "serve",
      ":0",
      "--memory",
      "--load-definitions",
      dir.file("d.json"),
    ]);
    assert.match(
      stderr,
      /queues\[1\]\.name must be a string.*\n.*queues\[0\]: virtual host 'gone'.*\n.*the definitions have 2 mistakes/,
    );
    assert.notEqual(code, 0);
  });

  withOpenssl("amqps - with a certificate; --product is what clients are line", async () => {
    using dir = tempDir();
    const made = spawnSync("openssl", [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
      ],
      ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
      ...["-keyout", dir.file("key.pem"), "-out", dir.file("cert.pem")],
    ]);
    assert.equal(made.status, 0);
    using broker = start([
      ...[
        "queue",
        "serve",
        "amqps://127.0.0.1:0",
        "--memory",
        "--product",
        "RabbitMQ",
        "--product-version",
        "3.10.8",
      ],
      ...["--cert", dir.file("cert.pem"), "--key", dir.file("key.pem")],
    ]);
    const url = await broker.readyEndpoint();
    const put = await queue([
      "put",
      "--declare",
      "q",
      "-D",
      "x",
      "--url",
      url,
      "--cacert",
      dir.file("cert.pem"),
      "-v",
    ]);
    assert.deepEqual(
      [put.code, /connected: amqps:.* \(RabbitMQ 3\.10\.8\)/.test(put.stderr)],
      [0, true],
      put.stderr,
    );
    assert.equal((await queue(["put", "--declare", "q", "-D", "x", "--url", url])).code, 4);
  });

  test("errors - each is one line with the remedy, and has its exit code", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("no.json"), "{");
    fs.writeFileSync(dir.file("users"), "nobody\n");
    fs.writeFileSync(dir.file("no password"), "nobody:\n");
    using broker = serve("--memory");
    const taken = await broker.readyEndpoint();
    const cases: [args: string[], code: number, words: RegExp][] = [
      [["--memory", "--data", dir.path], 2, /--memory stores nothing on disk/],
      [["--memory", "--sync", "flush"], 2, /--memory stores nothing on disk/],
      [["--sync", "never"], 2, /expected confirm, flush or interval=D/],
      [["--memory", "--user", "me"], 2, /--user 'me' needs a password \(try --password-file/],
      [["--memory", "--users-file", dir.file("users")], 2, /line 1 is not NAME:PASSWORD/],
      [["--memory", "--users-file", dir.file("no password")], 2, /line 1 is not NAME:PASSWORD/],
      [["--memory", "amqps://127.0.0.1:0", "--cacert", "c"], 2, /--cacert needs --cert and --key/],
      [["--memory", "--cert-login-from", "common_name"], 2, /--cert-login-from needs --cacert/],
      [["--memory", "--cert-login-from", "cn"], 2, /expected distinguished_name or common_name/],
      [["--memory", "--load-definitions", dir.file("no.json")], 2, /is not JSON/],
      [["--memory", "tcp://127.0.0.1:0"], 2, /does not listen on 'tcp'.*try amqp:/],
      [["--memory", "amqps://127.0.0.1:0"], 2, /--cert/],
      [["--memory", taken], 1, /in use|listens on it/],
      [
        ["--memory", "--cert", "c", "--key", "k"],
        2,
        /are for amqps:\/\/, mqtts:\/\/, stomps:\/\/ and wss:\/\/ endpoints/,
      ],
      [["--data", "/dev/null"], 1, /cannot keep messages in '\/dev\/null': it is not a directory/],
    ];
    for (const [args, code, words] of cases) {
      const exit = await queue(["serve", ...args], { env: { AMQP_PASSWORD: "" } });
      assert.deepEqual([exit.code, exit.stderr.trimEnd().split("\n").length], [code, 1], exit.stderr);
      assert.match(exit.stderr, words);
    }
  });
});

describe("queues in a directory", () => {
  test("its files are readable only by the owner, although the directory is readable by all", async () => {
    using dir = tempDir();
    const data = dir.file("spool");
    fs.mkdirSync(data, { mode: 0o755 });
    using broker = serve("--data", data);
    const url = await broker.readyEndpoint();
    await well(["put", "--declare", "jobs", "--url", url], lines(3));
    await well(["get", "jobs", "-n", "1", "--url", url]);
    const modes = fs.readdirSync(data).filter((name) => name !== "lock").map((name) => {
      return [name, (fs.statSync(`${data}/${name}`).mode & 0o777).toString(8)];
    });
    const expected = ["00000001.ack", "00000001.log", "definitions", "delivered", "socket"];
    assert.deepEqual(modes.sort(), expected.map((name) => [name, "600"]));
  });

  test("two commands at the same time - the second one uses the first, and takes over when it ends", async () => {
    using dir = tempDir();
    const data = ["--data", dir.file("spool")];
    using get = start(["queue", "get", "jobs", "--declare", ...data]);
    await waitFor(() => fs.existsSync(dir.file("spool/socket")), PATIENCE, "the socket");
    using put = start(["queue", "put", "jobs", ...data], { stdin: "a\n", open: true });
    await get.waitForStdout(/^a\n/);
    get.kill("SIGTERM");
    assert.equal((await get.exit()).code, 143);
    put.write("b\n");
    put.end();
    const { code, stderr } = await put.exit();
    assert.equal(code, 0, stderr);
    assert.equal(await well(["get", "jobs", "--drain", ...data]), "b\n");
  });

  test("many commands at the same time - take turns, and lose nothing", async () => {
    using dir = tempDir();
    const data = ["--data", dir.file("spool")];
    const puts = Array.from(
      { length: 5 },
      (_, i) => queue(["put", "jobs", ...data], { stdin: `${lines(200)}${i}\n` }),
    );
    const others = [queue(["declare", "other", ...data]), queue(["put", "other", "-D", "x", ...data])];
    for (const { code, stderr } of await Promise.all([...puts, ...others])) {
      assert.deepEqual([code, stderr], [0, ""]);
    }
    const got = (await well(["get", "jobs", "--drain", ...data])).split("\n");
    assert.deepEqual(new Set(got), new Set([...lines(200).split("\n"), "0", "1", "2", "3", "4"]));
    assert.ok(got.length >= 5 * 201, `${got.length}`);
  });

  test("a directory that cannot be created is reported; read-only commands create none", async () => {
    using dir = tempDir();
    for (const verb of ["list", "info", "peek", "purge", "delete"]) {
      const args = verb === "list" ? [verb] : [verb, "jobs"];
      const { code, stderr } = await queue([...args, "--data", dir.file("none")]);
      assert.deepEqual([code, /there is no such directory/.test(stderr)], [2, true], `${verb}: ${stderr}`);
    }
    assert.deepEqual(fs.readdirSync(dir.path), []);
    const both = await queue(["put", "x", "-D", "y", "--data", dir.path, "--url", "amqp://127.0.0.1"]);
    assert.deepEqual([both.code, /give only one of them/.test(both.stderr)], [2, true]);
  });

  test("peek, list, info - need no HTTP API, and change nothing", async () => {
    using dir = tempDir();
    const data = ["--data", dir.file("spool")];
    await well(["declare", "urgent", "-a", "x-max-priority=5", ...data]);
    await well(["put", "urgent", "-D", "low", "-P", "priority: 1", ...data]);
    await well(["put", "urgent", "-D", "high", "-P", "priority: 4", "-H", "k: v", ...data]);
    await well(["put", "jobs", ...data], lines(5000));
    for (const count of [1, 3, 10_000]) {
      assert.equal(await well(["peek", "jobs", "-n", `${count}`, ...data]), lines(Math.min(count, 5000)));
    }
    assert.equal(await well(["peek", "urgent", "-f", "%s %h\\n", ...data]), "high k=v\nlow \n");
    const list = await well(["list", ...data]);
    assert.match(
      list,
      /^name +type +ready +unacked +consumers\njobs +classic +5000 +0 +0\nurgent +classic +2 +0 +0\n$/,
    );
    const info = await well(["info", "jobs", ...data]);
    assert.match(info, /^name: jobs\nmessages_ready: 5000\nconsumers: 0\n[^]*durable: true\n/);
    assert.doesNotMatch(await well(["get", "jobs", "--drain", "-J", ...data]), /redelivered/);
    const missing = await queue(["peek", "none", ...data]);
    assert.deepEqual([missing.code, missing.stderr], [1, "mqcat: queue peek: there is no queue 'none'\n"]);
  });
});

describe("queue run", () => {
  test("a broker for a command - its URL is in the environment, and the exit code is the command's", async () => {
    const env = { AMQP_URL: "amqp://nobody@127.0.0.1:1" };
    using bash = shell(
      `mqcat queue run -- sh -c 'echo "$AMQP_URL"; echo "$STOMP_URL"; cat; echo oops >&2; exit 7' <<<stdin; echo "code $?"`,
      { env },
    );
    const { stdout, stderr } = await bash.exit();
    const address = String.raw`guest:guest@127\.0\.0\.1:\d+`;
    assert.match(stdout.toString(), new RegExp(`^amqp://${address}\nstomp://${address}\nstdin\ncode 7\n$`));
    assert.equal(stderr, "oops\n");
  });

  test("--load-definitions with users - the command has a user of its own, not guest", async () => {
    using dir = tempDir();
    const definitions = { vhosts: [{ name: "/" }], users: [{ name: "ann", password: "a", tags: [] }] };
    fs.writeFileSync(dir.file("d.json"), JSON.stringify(definitions));
    using bash = shell(
      `export MQCAT_WORDS="\${MQCAT[*]}"
      "\${MQCAT[@]}" queue run --load-definitions '${dir.file("d.json")}' -- bash -c \
        'echo "\${AMQP_URL%%:*} \${AMQP_URL#*@}"; $MQCAT_WORDS queue declare q; echo $?;
         $MQCAT_WORDS queue declare q --url "amqp://guest:guest@\${AMQP_URL#*@}" 2>/dev/null; echo $?'`,
    );
    const { stdout, stderr } = await bash.exit();
    assert.match(stdout.toString(), /^amqp 127\.0\.0\.1:\d+\n0\n4\n$/, stderr);
  });

  test("the command can use the broker, and options after its name belong to the command", async () => {
    using bash = shell(
      `run() { "\${MQCAT[@]}" queue run "$@"; }
      export MQCAT_WORDS="\${MQCAT[*]}"
      run bash -c '$MQCAT_WORDS queue put --declare q -D "$1" && $MQCAT_WORDS queue get q --drain' bash -v
      run --user me -- bash -c 'echo "$AMQP_URL"; $MQCAT_WORDS queue put --declare q -D x' || echo "code $?"`,
      {
        env: { AMQP_PASSWORD: "p/w" },
      },
    );
    const { stdout, stderr } = await bash.exit();
    assert.match(stdout.toString(), /^-v\namqp:\/\/me:p%2Fw@127\.0\.0\.1:\d+\n$/, stderr);
  });

  test("signals go to the command; a missing command exits with 127", async () => {
    using running = start([
      "queue",
      "run",
      "--",
      "sh",
      "-c",
      "trap 'echo bye; exit 3' TERM; echo on; while :; do sleep 0.05; done",
    ]);
    await running.waitForStdout(/on\n/);
    running.kill("SIGTERM");
    const { code, stdout } = await running.exit();
    assert.deepEqual([code, stdout.toString()], [3, "on\nbye\n"]);
    for (
      const [command, status, reason] of [
        ["no-such-program", 127, "there is no such program"],
        ["/etc/passwd", 126, "it is not an executable file"],
      ] as const
    ) {
      const { code, stderr } = await queue(["run", "--", command]);
      assert.deepEqual([code, stderr], [status, `mqcat: queue run: cannot run '${command}': ${reason}\n`]);
    }
    assert.equal((await queue(["run"])).code, 2);
  });
});
