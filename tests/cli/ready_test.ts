import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import { describe } from "node:test";
import { tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, readyFile, run, shell, start, test } from "../support/mqcat.ts";

describe("--ready-file", () => {
  test("has the real endpoints, one per line, and is complete as soon as it exists", async () => {
    using dir = tempDir();
    const path = dir.file("ready");
    using pull = start([
      "pull",
      ":0",
      "tcp://127.0.0.1:*",
      `ipc://${dir.file("feed")}`,
      "-q",
      "--ready-file",
      path,
    ]);
    const endpoints = await readyFile(path);
    assert.equal(endpoints.length, 3);
    assert.match(endpoints[0]!, /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    assert.match(endpoints[1]!, /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    assert.equal(endpoints[2], `ipc://${dir.file("feed")}`);
    assert.deepEqual(fs.readdirSync(dir.path).sort(), ["feed", "ready"], "no temporary file remains");
    for (const endpoint of endpoints) {
      assert.equal((await run(["push", endpoint, "-D", endpoint])).code, 0);
      await pull.waitForStdout(new RegExp(`^${endpoint}$`, "m"));
    }
    assert.equal(pull.stderr, "");
  });

  test("replaces the file of an earlier run", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("ready"), "stale\n");
    using _pull = start(["pull", ":0", "--ready-file", dir.file("ready")]);
    await waitFor(
      () => fs.readFileSync(dir.file("ready"), "utf8").startsWith("tcp://"),
      PATIENCE,
      "the file",
    );
  });

  test("a FIFO - its reader gets the endpoints, and the command does not wait for the reader", async () => {
    using dir = tempDir();
    const path = dir.file("fifo");
    assert.equal(spawnSync("mkfifo", [path]).status, 0);
    using pull = start(["pull", ":0", "--ready-file", path]);
    const endpoint = (await pull.waitForStderr(/listening on (\S+)/))[1]!;
    // No reader has opened the FIFO yet, but messages are already delivered.
    using push = start(["push", endpoint, "-D", "x"]);
    await pull.waitForStdout(/^x\n$/);
    const { stdout } = spawnSync("timeout", ["10", "head", "-1", path]);
    assert.equal(stdout.toString(), `${endpoint}\n`);
    assert.equal((await push.exit()).code, 0);
    pull.kill("SIGTERM");
    assert.equal((await pull.exit()).code, 143);
  });

  test("a FIFO without a reader - a signal ends the command", async () => {
    using dir = tempDir();
    const path = dir.file("fifo");
    assert.equal(spawnSync("mkfifo", [path]).status, 0);
    using pull = start(["pull", ":0", "--ready-file", path]);
    await pull.waitForStderr(/listening on/);
    pull.kill("SIGTERM");
    assert.equal((await pull.exit()).code, 143);
  });

  test("a symbolic link - is replaced, and the file that it points to stays as it is", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("precious"), "precious\n");
    for (const target of ["precious", "missing"]) {
      const link = dir.file(`link to ${target}`);
      fs.symlinkSync(dir.file(target), link);
      using pull = start(["pull", ":0", "--ready-file", link]);
      await waitFor(() => !fs.lstatSync(link).isSymbolicLink(), PATIENCE, "the file");
      assert.equal(
        fs.readFileSync(link, "utf8"),
        `${await pull.waitForStderr(/listening on (\S+)/).then(([, on]) => on)}\n`,
      );
    }
    assert.equal(fs.readFileSync(dir.file("precious"), "utf8"), "precious\n");
    assert.ok(!fs.existsSync(dir.file("missing")));
  });

  test("a descriptor of the shell - gets the endpoints", async () => {
    using dir = tempDir();
    using _pull = shell(`mqcat pull :0 -q --ready-file >(cat >'${dir.file("out")}')`, {});
    await waitFor(
      () => fs.existsSync(dir.file("out")) && fs.readFileSync(dir.file("out"), "utf8").endsWith("\n"),
      PATIENCE,
    );
    assert.match(fs.readFileSync(dir.file("out"), "utf8"), /^tcp:\/\/127\.0\.0\.1:\d+\n$/);
  });

  test("a command that only connects - is ready when it is connected", async () => {
    using dir = tempDir();
    const path = dir.file("ready");
    using push = start(["push", `ipc://${dir.file("feed")}`, "--ready-file", path], { open: true });
    await push.waitForStderr(/trying again/);
    assert.equal(fs.existsSync(path), false);
    using _pull = start(["pull", `ipc://${dir.file("feed")}`]);
    assert.deepEqual(await readyFile(path), [`ipc://${dir.file("feed")}`]);
  });

  test("a path that cannot be written - is reported as an error", async () => {
    const { code, stderr } = await run(["pull", ":0", "--ready-file", "/no/such/folder/ready"]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^mqcat: pull: .*\/no\/such\/folder\/ready/m);
    assert.doesNotMatch(stderr, /\n {4}at /);
  });
});

describe("ports and addresses", () => {
  test(":0 and :* - choose a free port on loopback, and print it", async () => {
    for (const operand of [":0", ":*", "127.0.0.1:0", "tcp://127.0.0.1:*"]) {
      using pull = start(["pull", operand, "-n", "1"]);
      const endpoint = await pull.readyEndpoint();
      assert.match(endpoint, /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
      assert.equal((await run(["push", endpoint.replace("tcp://127.0.0.1", ""), "-D", "x"])).code, 0);
      assert.equal((await pull.exit()).code, 0);
    }
  });

  test("tcp://*:port - is the only form that binds more than loopback", async () => {
    using pull = start(["pull", "tcp://*:0", "-n", "1"]);
    const endpoint = await pull.readyEndpoint();
    const port = /^tcp:\/\/0\.0\.0\.0:(\d+)$/.exec(endpoint)![1]!;
    assert.equal((await run(["push", `:${port}`, "-D", "x"])).code, 0);
    assert.equal((await pull.exit()).code, 0);
    using loopback = start(["pull", ":0"]);
    const own = Number((await loopback.readyEndpoint()).split(":").at(-1));
    // The test uses only another loopback address of this machine.
    await assert.rejects(
      new Promise((resolve, reject) => net.connect(own, "127.0.0.2", () => resolve(0)).on("error", reject)),
    );
  });

  test("an ipc path - is removed at the end, and the path of a killed process is reused", async () => {
    using dir = tempDir();
    const endpoint = `ipc://${dir.file("feed")}`;
    using killed = start(["pull", endpoint]);
    await killed.readyEndpoint();
    killed.kill("SIGKILL");
    await killed.exit();
    assert.ok(fs.existsSync(dir.file("feed")));
    using pull = start(["pull", endpoint]);
    await pull.readyEndpoint();
    const { code, stderr } = await run(["pull", endpoint]);
    assert.deepEqual([code, /another program listens on it/.test(stderr)], [1, true], stderr);
    pull.kill("SIGTERM");
    assert.equal((await pull.exit()).code, 143);
    assert.equal(fs.existsSync(dir.file("feed")), false);
  });
});
