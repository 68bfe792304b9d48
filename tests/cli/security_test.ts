/** CURVE and PLAIN from the command line: accepted and refused clients, and the files of keys and users. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { after, before, describe } from "node:test";
import { requirePeer, tempDir } from "../support/helpers.ts";
import { Program, run, start, test } from "../support/mqcat.ts";

const PYTHON = "/usr/bin/python3";
const hasPyzmq =
  spawnSync(PYTHON, ["-c", "import zmq; assert zmq.has('curve')"], { stdio: "ignore" }).status === 0;
const zmqTest = requirePeer("pyzmq with CURVE", hasPyzmq);

describe("security", () => {
  const dir = tempDir();
  const key = (name: string) => dir.file(`${name}.key`);
  const secret = (name: string) => dir.file(`${name}.key_secret`);
  const printed: Record<string, string> = {};
  before(async () => {
    for (const name of ["server", "alice", "mallory"]) {
      const { code, stdout, stderr } = await run(["keygen", dir.file(name)]);
      assert.equal(code, 0, stderr);
      printed[name] = stdout.toString().trimEnd();
    }
  });
  after(() => dir.remove());

  test("keygen - prints the public key, writes two private files, and never overwrites a file", async () => {
    assert.equal(printed["server"]!.length, 40);
    for (const file of [key("server"), secret("server")]) {
      assert.equal(fs.statSync(file).mode & 0o777, 0o600);
      assert.ok(fs.readFileSync(file, "utf8").includes(`public-key = "${printed["server"]}"`));
    }
    assert.ok(!fs.readFileSync(key("server"), "utf8").includes("secret"));
    const before = fs.readFileSync(secret("server"), "utf8");
    const again = await run(["keygen", dir.file("server")]);
    assert.deepEqual([again.code, again.stdout.length], [1, 0]);
    assert.match(again.stderr, /server\.key_secret' exists, and is not overwritten/);
    assert.equal(fs.readFileSync(secret("server"), "utf8"), before);
    // One file of two is not a pair.
    fs.writeFileSync(key("half"), "");
    assert.equal((await run(["keygen", dir.file("half")])).code, 1);
    assert.ok(!fs.existsSync(secret("half")));
    assert.equal((await run(["keygen"])).code, 2);
    assert.equal((await run(["keygen", dir.file("folder/")])).code, 2);
  });

  test("curve - accepts the listed clients, by key file or key; others get one error and exit with 4", async () => {
    const serving = ["--curve-server", "--curve-key", secret("server"), "--curve-allow", key("alice")];
    using pull = start(["pull", "@:0", "-v", ...serving], { open: true });
    const endpoint = await pull.readyEndpoint();
    const push = (...args: string[]) => run(["push", `>${endpoint}`, "-D", args.join(" "), ...args]);

    const known = ["--curve-key", secret("alice")];
    assert.equal((await push("--curve-server-key", key("server"), ...known)).code, 0);
    assert.equal((await push("--curve-server-key", printed["server"]!, ...known)).code, 0);
    await pull.waitForStdout(/alice.*\n.*alice/);
    await pull.waitForStderr(new RegExp(`connected: .*CURVE, user ${escaped(printed["alice"]!)}\\)`));

    const refused: [string[], RegExp, RegExp][] = [
      [
        ["--curve-server-key", key("server"), "--curve-key", secret("mallory")],
        /the peer does not accept our public key \(400\)/,
        new RegExp(`refused: 400, the client's public key ${escaped(printed["mallory"]!)} is not allowed`),
      ],
      [["--curve-server-key", key("server")], /does not accept our public key/, /is not allowed/],
      [
        ["--curve-server-key", printed["mallory"]!, ...known],
        /the peer refused: this server has a different public key/,
        /the peer was given a public key for us that is not ours/,
      ],
      [
        [],
        /the peer uses CURVE security, and this side uses NULL/,
        /uses NULL security, and this side uses CURVE/,
      ],
    ];
    for (const [args, here, there] of refused) {
      const { code, stderr } = await push(...args);
      assert.equal(code, 4, stderr);
      assert.match(stderr, here);
      assert.equal(stderr.match(/no handshake/g)?.length, 1, stderr);
      await pull.waitForStderr(there);
    }
    assert.equal(pull.text.split("\n").length, 3);
    for (const { stderr } of [pull]) {
      for (const name of ["server", "alice"]) {
        assert.ok(!stderr.includes(/secret-key = "(.*)"/.exec(fs.readFileSync(secret(name), "utf8"))![1]!));
      }
    }
  });

  test("curve - works with every command, in both roles and directions", async () => {
    const serve = ["--curve-server", "--curve-key", secret("server")];
    const ask = ["--curve-server-key", key("server")];
    using pub = start(["pub", "@:0", ...ask], { stdin: "news\n", open: true });
    const sub = await run(["sub", `>${await pub.readyEndpoint()}`, "-n", "1", ...serve]);
    assert.deepEqual([sub.code, sub.stdout.toString()], [0, "news\n"], sub.stderr);
    using rep = start(["rep", "@:0", "--echo", ...serve]);
    const req = await run(["req", `>${await rep.readyEndpoint()}`, "-D", "ping", ...ask]);
    assert.deepEqual([req.code, req.stdout.toString()], [0, "ping\n"], req.stderr);
  });

  test("curve - SIGHUP reads the list again; an invalid list is reported, and the old one stays", async () => {
    const list = dir.file("allowed");
    fs.writeFileSync(list, `# no key yet\n${printed["mallory"]} # for now\n`);
    using pull = start([
      "pull",
      "@:0",
      "--curve-server",
      "--curve-key",
      secret("server"),
      "--curve-allow",
      list,
    ]);
    const endpoint = await pull.readyEndpoint();
    const push = async (name: string) =>
      (await run([
        "push",
        `>${endpoint}`,
        "-D",
        name,
        "--curve-server-key",
        key("server"),
        "--curve-key",
        secret(name),
      ]))
        .code;
    assert.deepEqual([await push("alice"), await push("mallory")], [4, 0]);
    fs.writeFileSync(list, `${printed["alice"]}\n`);
    pull.kill("SIGHUP");
    await pull.waitForStderr(/read --curve-allow '.*allowed' again/);
    assert.deepEqual([await push("alice"), await push("mallory")], [0, 4]);
    fs.writeFileSync(list, `${printed["mallory"]}\nnot a key\n`);
    pull.kill("SIGHUP");
    await pull.waitForStderr(
      /--curve-allow '.*allowed': line 2 is neither a key nor a comment; keeping the previous list/,
    );
    assert.deepEqual([await push("alice"), await push("mallory")], [0, 4]);
    fs.rmSync(list);
    pull.kill("SIGHUP");
    await pull.waitForStderr(/--curve-allow '.*allowed': .*no such file.*; keeping the previous list/i);
    assert.equal(await push("alice"), 0);
    await pull.waitForStdout(/mallory\nalice\nalice\nalice\n/);
    pull.kill("SIGTERM");
    assert.equal((await pull.exit()).code, 143);
  });

  test("plain - reads the password from a file or the environment; both ends report a wrong one", async () => {
    const users = dir.file("users");
    const password = dir.file("password");
    const hashed = spawnSync("openssl", ["passwd", "-6", "hush"]).stdout?.toString().trim();
    fs.writeFileSync(users, `alice:pass word\nbob:${hashed}\n`, { mode: 0o644 });
    fs.writeFileSync(password, "pass word\n", { mode: 0o644 });
    using pull = start(["pull", "@:0", "--plain-users", users]);
    const endpoint = await pull.readyEndpoint();
    const push = ["push", `>${endpoint}`, "-D"];
    const alice = await run([...push, "file", "--user", "alice", "--password-file", password]);
    assert.equal(alice.code, 0);
    for (const [stderr, what] of [[alice.stderr, "this password"], [pull.stderr, "these passwords"]]) {
      assert.match(stderr!, new RegExp(`others may read ${what} \\(chmod 600 it\\)`));
    }
    assert.equal((await run([...push, "env", "--user", "bob"], { env: { MQCAT_PASSWORD: "hush" } })).code, 0);
    await pull.waitForStdout(/file\nenv\n/);
    const wrong = await run([...push, "never", "--user", "bob"], { env: { MQCAT_PASSWORD: "pass word" } });
    assert.equal(wrong.code, 4);
    assert.match(wrong.stderr, /the peer does not accept our user name and password \(400\)/);
    await pull.waitForStderr(/refused: 400, the user name 'bob' or its password is wrong/);
    assert.doesNotMatch(`${wrong.stderr}${pull.stderr}`, /pass word|hush/);
  });

  test("options - missing or contradictory options are a usage error with a remedy", async () => {
    fs.writeFileSync(dir.file("empty"), "");
    fs.writeFileSync(dir.file("users.bad"), "nonsense\n");
    const server = ["--curve-server", "--curve-key", secret("server")];
    const mistakes: [string[], RegExp][] = [
      [["--curve-server"], /--curve-server needs --curve-key FILE \(make one: mqcat keygen NAME\)/],
      [["--curve-key", secret("server")], /--curve-key needs a role: --curve-server, or --curve-server-key/],
      [["--curve-allow", key("alice")], /--curve-allow is for the server: add --curve-server/],
      [[...server, "--user", "x"], /--curve-server and --user are different roles: choose one/],
      [[...server, "--curve-server-key", key("server")], /different roles/],
      [
        ["--curve-server", "--curve-key", key("server")],
        /it has no secret key \(mqcat keygen NAME makes a pair/,
      ],
      [["--curve-server", "--curve-key", dir.file("gone")], /--curve-key '.*gone': .*no such file/i],
      [["--curve-server-key", "short"], /'short': expected a file, or a key of 40 characters/],
      [["--curve-server-key", dir.file("empty")], /expected a file with one public key: it has 0/],
      [
        ["--curve-server-key", "~".repeat(40)],
        /--curve-server-key '~+': .*character 1 is not in the Z85 alphabet/,
      ],
      [[...server, "--curve-allow", dir.file("gone")], /--curve-allow '.*gone': .*no such file/i],
      [["--user", "x"], /--user needs a password: --password-file PATH, or .* MQCAT_PASSWORD/],
      [["--password-file", dir.file("empty")], /--password-file is the password of a user: add --user NAME/],
      [["--plain-users", dir.file("users.bad")], /--plain-users '.*': line 1 is not name:password/],
    ];
    for (const [args, expected] of mistakes) {
      const { code, stderr } = await run(["pull", "@:0", ...args]);
      assert.equal(code, 2, `${args}: ${stderr}`);
      assert.match(stderr, expected);
    }
    using locked = start(["pull", "@:0", ...server, "--curve-allow", dir.file("empty")]);
    await locked.waitForStderr(/it has no public key, so every client is refused/);
    fs.chmodSync(secret("mallory"), 0o644);
    using open = start(["pull", "@:0", "--curve-server", "--curve-key", secret("mallory")]);
    await open.waitForStderr(/others may read this secret key \(chmod 600 it\)/);
    fs.chmodSync(secret("mallory"), 0o600);
  });

  zmqTest(
    "libzmq - reads our certificates, mqcat reads pyzmq's, and its server refuses a wrong key",
    async () => {
      const script = `
import sys, zmq, zmq.auth
folder, server_file = sys.argv[1:]
public, secret = zmq.auth.load_certificate(server_file)
zmq.auth.create_certificates(folder, "bob")
with zmq.Context() as context, context.socket(zmq.PULL) as pull:
    pull.curve_server = True
    pull.curve_secretkey, pull.curve_publickey = secret, public
    print(pull.bind_to_random_port("tcp://127.0.0.1"), flush=True)
    print(pull.recv().decode(), flush=True)
`;
      using server = new Program([PYTHON, "-c", script, dir.path, secret("server")], {});
      const port = (await server.waitForStdout(/^(\d+)\n/))[1]!;
      const push = (...args: string[]) =>
        run(["push", `>:${port}`, "-D", "hello", ...args, "--curve-key", secret("bob")]);
      const wrong = await push("--curve-server-key", key("mallory"));
      assert.equal(wrong.code, 4, wrong.stderr);
      assert.match(
        wrong.stderr,
        /closed the connection after our HELLO: its public key probably differs from the one that we were given/,
      );
      const right = await push("--curve-server-key", key("server"));
      assert.equal(right.code, 0, right.stderr);
      await server.waitForStdout(/hello\n/);
    },
  );
});

/** A key, escaped for a regular expression. */
function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
