/** Contexts: named brokers, their logins, and the files that must not be trusted. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, describe } from "node:test";
import { requirePeer, tempDir } from "../support/helpers.ts";
import {
  type Exit,
  Program,
  program,
  readyFile,
  run,
  start,
  type StartOptions,
  test,
} from "../support/mqcat.ts";

const SECRET = "s3cr:t/@";

describe("contexts", () => {
  const dir = tempDir();
  const config = dir.file("config/mqcat/config.toml");
  const env = {
    XDG_CONFIG_HOME: dir.file("config"),
    AMQP_URL: "",
    MQTT_URL: "",
    STOMP_URL: "",
    AMQP_HTTP_URL: "",
  };
  let broker: Program;
  /** The URLs of the broker without the login: AMQP, MQTT, STOMP. */
  let urls: string[];

  /** Runs mqcat with the contexts of this suite. No output may ever have the password. */
  async function mqcat(args: readonly string[], options: StartOptions = {}): Promise<Exit> {
    const exit = await run(args, { ...options, env: { ...env, ...options.env } });
    if (!args.includes("get")) {
      assert.ok(
        !`${exit.stdout}${exit.stderr}`.includes(SECRET),
        `${args.join(" ")}: ${exit.stdout}${exit.stderr}`,
      );
    }
    return exit;
  }

  /** The same, which must succeed. */
  async function succeed(args: readonly string[], options: StartOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await mqcat(args, options);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout.toString();
  }

  before(async () => {
    fs.writeFileSync(dir.file("password"), `${SECRET}\n`, { mode: 0o600 });
    const endpoints = ["amqp://127.0.0.1:0", "mqtt://127.0.0.1:0", "stomp://127.0.0.1:0"];
    const login = ["--user", "me", "--password-file", dir.file("password")];
    const ready = ["--ready-file", dir.file("ready")];
    broker = start(["queue", "serve", ...endpoints, "--memory", ...login, ...ready]);
    urls = (await readyFile(dir.file("ready"))).map((url) => url.replace("://", "://me@"));
    const all = urls.flatMap((url) => ["--url", url]);
    await succeed(["context", "add", "here", ...all, "--password-command", `cat '${dir.file("password")}'`]);
    await succeed(["context", "add", "file", ...all, "--password-file", "password"], { cwd: dir.path });
    await succeed(["context", "add", "asks", "--url", urls[0]!]);
    await succeed(["context", "add", "away", "--url", "amqp://127.0.0.1:1"]);
  });
  after(() => {
    broker[Symbol.dispose]();
    dir.remove();
  });

  test("add - stores a file for the user only, without a password", async () => {
    assert.equal(fs.statSync(config).mode & 0o777, 0o600);
    for (const url of [`amqp://me:${encodeURIComponent(SECRET)}@host`, `amqp://me:${SECRET}@host`]) {
      const { code, stderr } = await mqcat(["context", "add", "bad", "--url", url]);
      assert.deepEqual([code, /has a password: remove it there/.test(stderr)], [2, true], stderr);
      assert.ok(!stderr.includes(encodeURIComponent(SECRET)));
    }
    for (
      const [args, message] of [
        [["here", "--url", "amqp://x"], /there is a context 'here' already/],
        [["a b", "--url", "amqp://x"], /'a b' cannot name a context/],
        [["x"], /--url is missing/],
        [["x", "--url", "tcp://x"], /--url must begin with amqp:\/\//],
        [["x", "--url", "amqp://x", "--url", "amqps://y"], /one amqp URL/],
        [["x", "--url", "amqp://x:y"], /'x:…' is not a host and a port/],
      ] as const
    ) {
      const { code, stderr } = await mqcat(["context", "add", ...args]);
      assert.deepEqual([code, message.test(stderr)], [2, true], stderr);
    }
  });

  test("add - processes that add contexts at the same time keep those of the others", async () => {
    using home = tempDir();
    const own = { env: { XDG_CONFIG_HOME: home.path } };
    const names = Array.from({ length: 6 }, (_, i) => `c${i}`);
    await Promise.all(
      names.map((name) => succeed(["context", "add", name, "--url", "amqp://localhost"], own)),
    );
    const list = await succeed(["context", "list"], own);
    assert.deepEqual(list.match(/c\d/g), names);
    // A process that was killed has left its lock.
    fs.mkdirSync(home.file("mqcat/config.toml.lock"));
    await succeed(["context", "rm", "c0"], own);
    assert.deepEqual(fs.readdirSync(home.file("mqcat")), ["config.toml"]);
  });

  test("add - an error about the file of the contexts names it", async () => {
    fs.symlinkSync(dir.file("missing"), dir.file("dangling"));
    const { code, stderr } = await mqcat(["context", "add", "x", "--url", "amqp://x"], {
      env: { XDG_CONFIG_HOME: dir.file("dangling") },
    });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^mqcat: context add: '.*\/dangling\/mqcat\/config\.toml' cannot be written: /m);
  });

  test("add - warns of a file that is not there, which may come later", async () => {
    const args = ["context", "add", "later", "--url", "amqp://me@x", "--password-file", dir.file("none")];
    const { code, stderr } = await mqcat(args);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /--password-file '.*\/none': there is no such file yet$/m);
    await succeed(["context", "rm", "later"]);
  });

  test("--context - queue commands and the short addresses of all systems use its brokers", async () => {
    for (const name of ["here", "file"]) {
      const at = ["--context", name];
      await succeed(["push", "amqp:jobs", "--declare", "-D", "one", ...at]);
      assert.match(await succeed(["queue", "list", ...at]), /^jobs /m);
      assert.equal(await succeed(["queue", "get", "jobs", "--drain", ...at]), "one\n");
      await succeed(["push", "stomp:/queue/jobs", "-D", "two", ...at]);
      assert.equal(await succeed(["pull", "amqp:jobs", "--drain", ...at]), "two\n");
      using sub = start(["sub", "mqtt:t/#", "-n", "1", "--ready-file", dir.file(`sub-${name}`), ...at], {
        env,
      });
      await readyFile(dir.file(`sub-${name}`));
      await succeed(["pub", "mqtt:t/x", "-D", "three", ...at]);
      assert.equal((await sub.exit()).stdout.toString(), "three\n");
      await succeed(["push", "amqp:jobs", "-D", "four"], { env: { MQCAT_CONTEXT: name } });
      const bridge = [
        "proxy",
        "--pattern",
        "pull-pub",
        "--from",
        "amqp:jobs",
        "--to",
        "mqtt:copy",
        "-n",
        "1",
      ];
      assert.equal((await mqcat([...bridge, ...at])).code, 0);
    }
  });

  test("a variable with a URL of another system - is named in the error", async () => {
    const { code, stderr } = await mqcat(["queue", "get", "q"], { env: { AMQP_URL: "mqtt://me:pw@h" } });
    assert.deepEqual(
      [code, stderr],
      [2, "mqcat: queue get: $AMQP_URL is a URL of 'mqtt': expected amqp:// or amqps://\n"],
    );
  });

  test("precedence - an address, --context, $MQCAT_CONTEXT, $AMQP_URL, a project, use", async () => {
    /** Which broker a command line reaches: the context in its error, or the port of one that is not a context's. */
    const reached = async (args: readonly string[], more: Record<string, string>, cwd = dir.path) => {
      const { stderr } = await mqcat(["queue", "list", ...args], { env: more, cwd });
      return /context '(\w+)'/.exec(stderr)?.[1] ?? /127\.0\.0\.1:(\d+)/.exec(stderr)?.[1] ?? stderr;
    };
    const folder = dir.file("project");
    fs.mkdirSync(`${folder}/below`, { recursive: true });
    for (const port of [2, 3, 4]) {
      await succeed(["context", "add", `p${port}`, "--url", `amqp://127.0.0.1:${port}`]);
    }
    await succeed(["context", "use", "p4"]);
    assert.equal(await reached([], {}), "p4");
    fs.writeFileSync(`${folder}/.mqcat.toml`, 'context = "p3"\n');
    await succeed(["context", "allow", folder]);
    const below = `${folder}/below`;
    assert.equal(await reached([], {}, below), "p3");
    assert.equal(await reached([], { AMQP_URL: "amqp://127.0.0.1:5" }, below), "5");
    const both = { AMQP_URL: "amqp://127.0.0.1:5", MQCAT_CONTEXT: "p2" };
    assert.equal(await reached([], both, below), "p2");
    assert.equal(await reached(["--context", "away"], both, below), "away");
    assert.equal(await reached(["--url", "amqp://127.0.0.1:6"], both, below), "6");
    const shown = await succeed(["context", "show"], { cwd: below });
    assert.match(shown, /^name: p3\n[^]*^chosen by: .*\.mqcat\.toml$/m);
    await succeed(["context", "use", "--none"]);
    assert.match((await mqcat(["context", "show"])).stderr, /no context is in use/);
  });

  test("queue run - its command does not use the context", async () => {
    const command = [...program, "queue", "declare", "mine"];
    await succeed(["queue", "run", "--", ...command], { env: { MQCAT_CONTEXT: "away" } });
  });

  test("queue run - its command does not use the HTTP API of another broker", async () => {
    const command = [...program, "queue", "list"];
    await succeed(["queue", "run", "--", ...command], { env: { AMQP_HTTP_URL: "http://127.0.0.1:5" } });
  });

  test("errors - say which context was used", async () => {
    const { code, stderr } = await mqcat(["queue", "list", "--context", "away"]);
    assert.equal(code, 4);
    assert.match(stderr, /connection refused.*\(context 'away'\)\n$/);
    assert.match(
      (await mqcat(["queue", "info", "none", "--context", "here"])).stderr,
      /none.*\(context 'here'\)\n$/,
    );
    const wrong = await mqcat(["queue", "list", "--context", "asks"], { env: { MQCAT_PASSWORD: "wrong" } });
    assert.equal(wrong.code, 4);
    assert.match(wrong.stderr, /refused.*\(context 'asks'\)/);
    for (
      const [args, message] of [
        [["queue", "list", "--context", "no"], /there is no context 'no' \(--context\): there are .*here/],
        [["push", "mqtt:x", "-D", "x", "--context", "away"], /context 'away' has no mqtt URL: add it to/],
        [["push", ":1", "--context", "here"], /--context is for amqp:NAME/],
        [["queue", "list", "--context", "here", "--url", "amqp://x"], /--context is for amqp:NAME/],
      ] as const
    ) {
      const { code, stderr } = await mqcat(args);
      assert.deepEqual([code, message.test(stderr)], [2, true], stderr);
    }
  });

  test("list and show - have the source of the password only; rm removes", async () => {
    await succeed([
      "context",
      "add",
      "gone",
      "--url",
      "amqp://me@x",
      "--password-command",
      `echo '${SECRET}'`,
    ]);
    const shown = await succeed(["context", "show", "gone"]);
    assert.match(shown, /^password: password-command$/m);
    await succeed(["context", "use", "gone"]);
    assert.match(await succeed(["context", "list"]), /^\* gone +amqp:\/\/me@x$/m);
    assert.match(await succeed(["context", "list", "-J"]), /^\{"name":"gone","inUse":true,/m);
    await succeed(["context", "rm", "gone"]);
    assert.doesNotMatch(await succeed(["context", "list"]), /gone/);
    assert.match((await mqcat(["context", "rm", "gone"])).stderr, /there is no context 'gone' in/);
  });

  test("a password-command that fails - is an error without its output", async () => {
    const command = `echo '${SECRET}'; exit 3`;
    await succeed([
      "context",
      "add",
      "fails",
      "--url",
      "amqp://me@127.0.0.1:1",
      "--password-command",
      command,
    ]);
    const { code, stderr } = await mqcat(["queue", "list", "--context", "fails"]);
    assert.equal(code, 2);
    assert.match(stderr, /the password-command of context 'fails' failed: its exit code is 3/);
    // Users log in on the page: the server needs no password.
    using page = start(["queue", "page", ":0", "--context", "fails"], { env });
    await page.readyEndpoint();
    await succeed(["context", "add", "killed", "--url", "amqp://me@x", "--password-command", "kill -9 $$"]);
    assert.match((await mqcat(["queue", "list", "--context", "killed"])).stderr, /failed: SIGKILL ended it/);
  });

  test("a foreign .mqcat.toml - runs no command and names no broker until it is allowed", async () => {
    const folder = dir.file("foreign");
    const file = `${folder}/.mqcat.toml`;
    const write = (extra = "") =>
      fs.writeFileSync(
        file,
        `context = "evil"\n[contexts.evil]\namqp = "amqp://me@127.0.0.1:1"\npassword-command = "touch ran; echo x"\n${extra}`,
      );
    fs.mkdirSync(folder);
    write();
    const refused = async (args: readonly string[]) => {
      const { code, stderr } = await mqcat(["queue", "list", ...args], { cwd: folder });
      assert.equal(code, 2);
      assert.match(
        stderr,
        /\.mqcat\.toml' is not used until you have read it and allowed it: mqcat context allow/,
      );
      assert.ok(!fs.existsSync(`${folder}/ran`));
    };
    await refused([]);
    await refused(["--context", "evil"]);
    // The user's own contexts, addresses and variables do not need the file.
    await succeed(["queue", "list", "--context", "here"], { cwd: folder });
    assert.equal((await mqcat(["queue", "list", "--url", "amqp://127.0.0.1:1"], { cwd: folder })).code, 4);
    assert.equal(
      (await mqcat(["queue", "list"], { cwd: folder, env: { AMQP_URL: "amqp://127.0.0.1:1" } })).code,
      4,
    );
    const { stderr } = await mqcat(["context", "allow"], { cwd: folder });
    assert.match(stderr, /allowed '.*' until it changes; it runs a command for the password of evil/);
    assert.match((await mqcat(["queue", "list"], { cwd: folder })).stderr, /\(context 'evil'\)/);
    assert.ok(fs.existsSync(`${folder}/ran`));
    fs.rmSync(`${folder}/ran`);
    write("# changed\n");
    await refused([]);
  });

  test("a wrong file - is an error that shows none of its values", async () => {
    const other = dir.file("other");
    fs.mkdirSync(`${other}/mqcat`, { recursive: true });
    const file = `${other}/mqcat/config.toml`;
    for (
      const [text, message, mode = 0o600] of [
        [`context = "${SECRET}`, /config\.toml': Invalid TOML/],
        [`contexts.x.amqp = "amqp://me:${SECRET}@h"`, /the URL of context 'x' has a password/],
        [`contexts.x.http = "http://me:${SECRET}@h"`, /the URL of context 'x' has a password/],
        [`contexts.x.url = "${SECRET}"`, /context 'x' has no key 'url': there are amqp, mqtt, stomp, http/],
        [`contexts.x.amqp = "mqtt://h"`, /'amqp' of context 'x' must be a URL/],
        [`conText = "x"`, /there is no key 'conText'/],
        [`context = "x"`, /can be changed by other users: chmod 600 it/, 0o666],
      ] as const
    ) {
      fs.rmSync(file, { force: true });
      fs.writeFileSync(file, text);
      fs.chmodSync(file, mode);
      const { code, stderr } = await mqcat(["queue", "list"], { env: { XDG_CONFIG_HOME: other } });
      assert.deepEqual([code, message.test(stderr)], [2, true], stderr);
      // ZeroMQ does not need the file.
      const push = await mqcat(["push", ":1", "-D", "x", "-w", "0.05"], { env: { XDG_CONFIG_HOME: other } });
      assert.notEqual(push.code, 2, push.stderr);
    }
  });

  const terminal = requirePeer("script");
  terminal("a terminal - asks for the password, and does not show it; Ctrl-C ends", async () => {
    const words = [...program, "queue", "list", "--context", "asks"].map((word) => `'${word}'`).join(" ");
    const ask = () => {
      const options = {
        stdin: "",
        open: true,
        env,
      };
      return new Program(["script", "-qec", words, "/dev/null"], options);
    };
    using right = ask();
    await right.waitForStdout(/password of context 'asks': /);
    right.write(`wrong\x15${SECRET}x\x7f\n`);
    const { code, stdout } = await right.exit();
    assert.equal(code, 0, stdout.toString());
    assert.ok(!stdout.toString().includes(SECRET) && !stdout.toString().includes("wrong"), stdout.toString());
    using stopped = ask();
    await stopped.waitForStdout(/password of context 'asks': /);
    stopped.write("\x03");
    assert.equal((await stopped.exit()).code, 130);
  });
});
