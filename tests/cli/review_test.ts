/** Regressions of the program that a hostile review found. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { describe } from "node:test";
import { ClosedError, Req } from "../../mod.ts";
import { deadline, tempDir, waitFor } from "../support/helpers.ts";
import { numbers, scoped, texts } from "../support/sockets.ts";
import { bytes, command, greeting, rawListener } from "../support/raw_peer.ts";
import {
  PATIENCE,
  Program,
  program,
  run,
  start,
  summaryOf,
  target,
  test,
  through,
} from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

const lines = (count: number) => numbers(count, 1).map((n) => `${n}\n`).join("");

describe("a signal", () => {
  test("push - counts all messages that were read from a file, and exits with 5", async () => {
    using dir = tempDir();
    const whole = lines(50_000);
    fs.writeFileSync(dir.file("in"), whole);
    const stdin = fs.openSync(dir.file("in"), "r");
    try {
      const args = ["push", `:${await freePort()}`, "--linger", "200ms", "--summary"];
      using push = start(args, { stdinFrom: stdin });
      await push.waitForStderr(/trying again/);
      push.kill("SIGTERM");
      const { code, stderr } = await push.exit();
      // Both processes share one position in the file, so the test reads the rest from there.
      const rest = fs.readFileSync(stdin).length;
      assert.ok(rest < whole.length);
      const read = whole.slice(0, whole.length - rest).split("\n").filter((line) => line !== "").length;
      const { sent, unsent } = summaryOf(stderr);
      assert.deepEqual([code, sent! + unsent!], [5, read], stderr);
      assert.match(stderr, new RegExp(`^mqcat: push: ${read} messages could not be delivered$`, "m"));
    } finally {
      fs.closeSync(stdin);
    }
  });
});

describe("--exec", () => {
  test("sub - leaves a topic that is too long out of the environment", async () => {
    const stdin = ["x".repeat(200_000), "t"].map((topic) => JSON.stringify({ topic, body: "b" })).join("\n");
    const exec = ["--exec", 'echo "${MQCAT_TOPIC-none} $(cat)"'];
    const printed = await through(["pub", "-J"], ["sub", ...exec], {
      stdin,
      env: { MQCAT_TOPIC: "inherited" },
    });
    assert.equal(printed.toString(), "none b\nt b\n");
  });

  test("pull - exits with 141 when the reader of stdout is gone, and starts no further commands", async () => {
    using dir = tempDir();
    const wait = `[ $MQCAT_SEQ = 1 ] || until [ -e ${dir.file("go")} ]; do sleep 0.01; done`;
    using pull = start(["pull", ":0", "--exec", `${wait}; echo ran >> ${dir.file("ran")}; echo out`]);
    assert.equal((await run(["push", await pull.readyEndpoint()], { stdin: lines(500) })).code, 0);
    await pull.waitForStdout(/^out\n/);
    pull.closeStdout();
    fs.writeFileSync(dir.file("go"), "");
    assert.equal((await pull.exit()).code, 141);
    const ran = fs.readFileSync(dir.file("ran"), "utf8").trimEnd().split("\n").length;
    // The system decides how many commands start before the pipe is really closed; all 500 would be an error.
    assert.ok(ran >= 2 && ran < 250, `${ran} commands ran`);
  });
});

describe("rep -j", () => {
  test("-w - counts from the last request, whichever worker received it", async () => {
    using rep = start(["rep", ":0", "-j", "4", "-w", "2s", "--exec", "cat", "-n", "3", "--summary"]);
    await using req = scoped(new Req());
    req.connect(await rep.readyEndpoint());
    for (const body of ["1", "2", "3"]) {
      // The pauses together are longer than -w, but none of them is.
      await new Promise((resolve) => setTimeout(resolve, 700));
      assert.deepEqual(texts(await deadline(req.request(body), PATIENCE)), [body]);
    }
    const { code, stderr } = await rep.exit();
    assert.deepEqual([code, summaryOf(stderr)["received"]], [0, 3], stderr);
    assert.doesNotMatch(stderr, /no request arrived/);
  });

  test("-w - ends when no request arrives in time", async () => {
    const { code, stderr } = await run(["rep", ":0", "-j", "4", "-w", "300ms", "--exec", "cat"]);
    assert.deepEqual([code, stderr.match(/no request arrived for 0\.3 s/g)?.length], [3, 1], stderr);
  });

  test("-n - answers N requests, however many arrive at the same time", async () => {
    using rep = start(["rep", ":0", "-j", "4", "-n", "3", "--exec", "sleep 0.2; cat", "--summary"]);
    const endpoint = await rep.readyEndpoint();
    const reqs = numbers(6).map(() => new Req());
    const asked = Promise.allSettled(reqs.map((req, i) => {
      req.connect(endpoint);
      return req.request(`${i}`);
    }));
    const { code, stderr } = await rep.exit();
    assert.deepEqual([code, summaryOf(stderr)["received"]], [0, 3], stderr);
    await Promise.all(reqs.map((req) => req.close()));
    const outcomes = await deadline(asked);
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 3);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") {
        assert.ok(outcome.reason instanceof ClosedError, `${outcome.reason}`);
      }
    }
  });
});

describe("stderr", () => {
  test("a peer's reason - is one line without control characters", async () => {
    const reason = "bad\nmqcat: all is well\r\x1b[31mred\x07\x7f";
    const error = Buffer.concat([
      bytes("05 'ERROR'"),
      Buffer.from([reason.length]),
      Buffer.from(reason, "latin1"),
    ]);
    await using liar = await rawListener((peer) => peer.send(greeting(), command(error)));
    for (const format of ["text", "json"]) {
      const { code, stderr } = await run(["pull", `>${liar.endpoint}`, "--log-format", format]);
      assert.equal(code, 4, stderr);
      // deno-lint-ignore no-control-regex
      assert.doesNotMatch(stderr, /[\x00-\x09\x0b-\x1f\x7f]|^mqcat: all is well/m);
      const said = format === "text"
        ? stderr
        : stderr.trimEnd().split("\n").map((line) => JSON.parse(line).message).join("\n");
      assert.match(said, /bad\\x0amqcat: all is well\\x0d\\x1b\[31mred\\x07\\x7f/);
    }
    const { stderr } = await run(["pull", `>${liar.endpoint}`, "--debug"]);
    assert.match(stderr, /caused by .*bad\\x0amqcat: all is well/);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(stderr, /[\x00-\x09\x0b-\x1f\x7f]|^mqcat: all is well/m);
  });
});

describe("--ready-file", () => {
  test("push - a ready file that cannot be written is a warning, because the peer is connected", async () => {
    using pull = start(["pull", ":0", "-n", "1"]);
    const path = "/no/such/folder/ready";
    using push = start(["push", await pull.readyEndpoint(), "--ready-file", path], {
      stdin: "x\n",
      open: true,
    });
    await push.waitForStderr(
      /^mqcat: push: --ready-file '\/no\/such\/folder\/ready': there is no such file or directory$/m,
    );
    push.end();
    const { code, stderr } = await push.exit();
    assert.deepEqual([code, stderr.trimEnd().split("\n").length], [0, 1], stderr);
    assert.equal((await pull.exit()).stdout.toString(), "x\n");
  });

  test("push - writes no ready file when no peer has connected", async () => {
    using dir = tempDir();
    const args = ["push", `:${await freePort()}`, "--ready-file", dir.file("ready"), "--linger", "100ms"];
    assert.equal((await run(args, { stdin: "x\n" })).code, 5);
    assert.deepEqual(fs.readdirSync(dir.path), []);
  });
});

if (target === "deno") {
  describe("deno compile", () => {
    test("the permissions of the binary - are sufficient, with LD_LIBRARY_PATH too", async () => {
      const config = fs.readFileSync(new URL("../../deno.json", import.meta.url), "utf8");
      const permissions = /--allow-\S+(?: --allow-\S+)*/.exec(JSON.parse(config).tasks.compile.command)![0];
      const words = [
        program[0]!,
        "run",
        "--no-prompt",
        "--no-check",
        ...permissions.split(" "),
        program.at(-1)!,
      ];
      const env = { LD_LIBRARY_PATH: "/usr/lib" };
      using dir = tempDir();
      const limited = (args: string[], stdin = "") => new Program([...words, ...args], { stdin, env }, args);
      for (const where of [":0", `ipc://${dir.file("s")}`]) {
        using pull = limited([
          "pull",
          where,
          "--transient",
          "--exec",
          "tr a-z A-Z",
          "--ready-file",
          dir.file("r"),
        ]);
        await waitFor(() => fs.existsSync(dir.file("r")), PATIENCE, "the ready file");
        using push = limited(["push", await pull.readyEndpoint()], "a\nb\n");
        const [sent, received] = [await push.exit(), await pull.exit()];
        assert.deepEqual([sent.code, sent.stderr, received.code], [0, "", 0], received.stderr);
        assert.equal(received.stdout.toString(), "A\nB\n");
        fs.rmSync(dir.file("r"));
      }
    });
  });
}
