/** Tab in real shells on a pseudo-terminal, and the candidates without a shell. */
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import process from "node:process";
import { after, before, describe } from "node:test";
import { requirePeer, tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, Program, readyFile, run, shim, start, test } from "../support/mqcat.ts";

/** How each shell starts without the settings of the user, and loads the script. */
const SHELLS = {
  bash: { start: "bash --noprofile --norc", load: "source <(mqcat completion bash)" },
  zsh: { start: "zsh -f", load: "autoload -Uz compinit; compinit -u -D; source <(mqcat completion zsh)" },
  fish: { start: "fish --no-config", load: "mqcat completion fish | source" },
};
/** A name that must neither end the quotes in which it is completed, nor run a command. */
const HOSTILE = 'evil\'s `echo run` "$(echo run)" one';
const HOME = "\x01";
const END = "\x05";

describe("completion", () => {
  const bin = shim();
  const dir = tempDir();
  const env = {
    PATH: `${bin.path}:${process.env["PATH"]}`,
    TERM: "xterm",
    HOME: dir.path,
    XDG_CONFIG_HOME: dir.file("config"),
    XDG_DATA_HOME: dir.file("data"),
    PS1: "$ ",
    DENO_NO_UPDATE_CHECK: "1",
    DENO_DIR: process.env["DENO_DIR"] ?? `${process.env["HOME"]}/.cache/deno`,
  };
  let broker: Program;
  let port: string;

  before(async () => {
    broker = start(["queue", "serve", ":0", "--memory", "--ready-file", dir.file("ready")]);
    const [url] = await readyFile(dir.file("ready"));
    port = url!.split(":").at(-1)!;
    assert.equal((await run(["queue", "declare", "jobs-1", "other one", HOSTILE, "--url", url!])).code, 0);
    const guest = url!.replace("://", "://guest@");
    for (const [name, command] of [["prod-1", "echo guest"], ["slow-1", "sleep 20; echo guest"]] as const) {
      const args = ["context", "add", name, "--url", guest, "--password-command", command];
      assert.equal((await run(args, { env })).code, 0);
    }
    fs.mkdirSync(dir.file("folder one"));
    fs.writeFileSync(dir.file("file-1"), "");
  });
  after(() => {
    broker[Symbol.dispose]();
    dir.remove();
    bin.remove();
  });

  /** The candidates for the last word, without descriptions. */
  async function candidates(words: readonly string[], more: Record<string, string> = {}): Promise<string[]> {
    const { code, stdout, stderr } = await run(["complete", "--", ...words], {
      env: { ...env, ...more },
      cwd: dir.path,
    });
    assert.deepEqual([code, stderr], [0, ""]);
    return stdout.toString().split("\n").filter((line) => line !== "").map((line) => line.split("\t")[0]!);
  }

  /** The same for names of a broker. On a busy machine they may come too late, and then there are none. */
  async function live(
    words: readonly string[],
    expected: readonly string[],
    more?: Record<string, string>,
  ): Promise<void> {
    const found = await waitFor(
      async () => {
        const found = await candidates(words, more);
        return found.length > 0 ? found : undefined;
      },
      PATIENCE,
      words.join(" "),
    );
    assert.deepEqual(found, expected);
  }

  test("candidates - commands, options, choices, and what the shell completes", async () => {
    const has = async (words: readonly string[], ...expected: string[]) => {
      const found = await candidates(words);
      for (const word of expected) assert.ok(found.includes(word), `${words.join(" ")}: ${word} in ${found}`);
    };
    await has([""], "push", "queue", "context", "help");
    assert.deepEqual(await candidates(["pus"]), ["push"]);
    assert.deepEqual(await candidates(["queue", "redr"]), ["redrive"]);
    await has(["help", ""], "push", "queue", "addresses");
    await has(["push", "--"], "--linger", "--curve-server", "--help-all");
    assert.deepEqual(await candidates(["push", "--lin"]), ["--linger"]);
    assert.deepEqual(await candidates(["push", "--linger", "3s", "--lin"]), []);
    await has(["push", "-D", "x", "-D", "y", "--te"], "--text");
    assert.deepEqual(await candidates(["push", "--on-full", ""]), ["block", "drop", "fail"]);
    assert.deepEqual(await candidates(["push", "--on-full=f"]), ["--on-full=fail"]);
    assert.deepEqual(await candidates(["push", "-F", ""]), [":files"]);
    assert.deepEqual(await candidates(["push", "-qF", ""]), [":files"]);
    assert.deepEqual(await candidates(["queue", "serve", "--data", ""]), [":directories"]);
    assert.deepEqual(await candidates(["queue", "run", "--memory", "--", ""]), [":commands"]);
    assert.deepEqual(await candidates(["queue", "run", "--", "npm", ""]), [":files"]);
    assert.deepEqual(await candidates(["push", "-n", ""]), []);
    await has(["pull", ""], "tcp://", "amqp:");
    await has(["queue", "serve", ""], "mqtts://");
    assert.deepEqual(
      await candidates(["bench", "pu"]),
      ["push-pull", "pub-sub"].filter((name) => name.startsWith("pu")),
    );
    assert.deepEqual(await candidates(["completion", "p"]), ["powershell"]);
    assert.deepEqual(await candidates(["frobnicate", ""]), []);
  });

  test("candidates - sockets of ipc, live names, contexts", async () => {
    const server = net.createServer().listen(dir.file("feed.sock"));
    try {
      await waitFor(() => server.listening);
      const start = `>ipc://${dir.path}/`;
      assert.deepEqual((await candidates(["pull", `${start}f`])).sort(), [
        `${start}feed.sock`,
        `${start}folder one/`,
      ]);
    } finally {
      server.close();
    }
    const url = `amqp://127.0.0.1:${port}`;
    for (const more of [["--url", url], ["--context", "prod-1"]]) {
      await live(["queue", "get", ...more, ""], [HOSTILE, "jobs-1", "other one"]);
    }
    const inUse = { AMQP_URL: url };
    await live(["push", "amqp:jo"], ["amqp:jobs-1"], inUse);
    await live(["push", `${url}//jo`], [`${url}//jobs-1`]);
    await live(["pub", "amqp:amq.t"], ["amqp:amq.topic"], inUse);
    await live(["queue", "bind", "jobs-1", "amq.f"], ["amq.fanout"], inUse);
    assert.deepEqual(await candidates(["queue", "get", "--context", ""]), ["prod-1", "slow-1"]);
  });

  test("candidates - a broker that does not answer has no names, in half a second", async () => {
    const server = net.createServer().listen(0, "127.0.0.1");
    try {
      await waitFor(() => server.listening);
      const { port } = server.address() as net.AddressInfo;
      const times: number[] = [];
      for (let i = 0; i < 3; i++) {
        const began = performance.now();
        const place = i === 0 ? ["--context", "slow-1"] : ["--url", `amqp://127.0.0.1:${port}`];
        assert.deepEqual(await candidates(["queue", "get", ...place, ""]), []);
        times.push(performance.now() - began);
      }
      // A busy machine is slow to start a process.
      assert.ok(Math.min(...times) < 1000 && Math.max(...times) < 10_000, `${times}`);
    } finally {
      server.close();
    }
    assert.deepEqual(await candidates(["queue", "get", "--url", "amqp://127.0.0.1:1", ""]), []);
    assert.deepEqual(await candidates(["queue", "get", "--data", dir.file("no"), ""]), []);
  });

  for (const [name, { start, load }] of Object.entries(SHELLS)) {
    const inShell = requirePeer(name);
    inShell(`${name} - Tab completes commands, options, choices, files, names and contexts`, async () => {
      const out = dir.file(`out-${name}`);
      const options = {
        stdin: "",
        open: true,
        cwd: dir.path,
        // npm sets EDITOR to vi, by which zsh chooses its keys.
        env: { ...env, EDITOR: "", VISUAL: "", AMQP_URL: `amqp://127.0.0.1:${port}` },
      };
      using terminal = new Program(["script", "-qec", start, "/dev/null"], options);
      let lines = 0;
      /** Types a line with a Tab, and returns what the shell made of it: echo prints it instead of running it. */
      const complete = async (typed: string): Promise<string> => {
        terminal.write(`${typed}\t`);
        terminal.write(`${HOME}echo ${END} >>${out}\r`);
        const read = () => fs.existsSync(out) ? fs.readFileSync(out, "utf8").split("\n").slice(0, -1) : [];
        await waitFor(() => read().length > lines, PATIENCE, `${typed} in ${name}: ${terminal.text}`);
        return read()[lines++]!.trimEnd();
      };
      terminal.write(`${load}; echo ready >>${out}\r`);
      await waitFor(() => fs.existsSync(out), PATIENCE, `${name}: ${terminal.text}`);
      // What is typed before the line editor is ready may be lost: the prompt comes first.
      let shown = "";
      let since = performance.now();
      await waitFor(() => {
        if (shown !== terminal.text) [shown, since] = [terminal.text, performance.now()];
        return performance.now() - since > 500;
      }, PATIENCE);
      lines = 1;
      const cases = [
        ["mqcat pus", "mqcat push"],
        ["mqcat queue redr", "mqcat queue redrive"],
        ["mqcat push --ling", "mqcat push --linger"],
        ["mqcat push --on-full bl", "mqcat push --on-full block"],
        ["mqcat push --on-full=dr", "mqcat push --on-full=drop"],
        ["mqcat push -F fil", "mqcat push -F file-1"],
        ["mqcat queue serve --data fol", /^mqcat queue serve --data folder one\/?$/],
        ["mqcat queue get job", "mqcat queue get jobs-1"],
        ["mqcat queue get oth", "mqcat queue get other one"],
        ["mqcat queue get ev", `mqcat queue get ${HOSTILE}`],
        ['mqcat queue get "ev', `mqcat queue get ${HOSTILE}`],
        ["mqcat queue get 'ev", `mqcat queue get ${HOSTILE}`],
        ["mqcat push amqp:job", "mqcat push amqp:jobs-1"],
        [`mqcat push amqp://127.0.0.1:${port}//job`, `mqcat push amqp://127.0.0.1:${port}//jobs-1`],
        ["mqcat pub amqp:amq.to", "mqcat pub amqp:amq.topic"],
        ["mqcat queue list --context pro", "mqcat queue list --context prod-1"],
        ["mqcat pull tcp", "mqcat pull tcp://"],
        ["mqcat push 'amqp:job", "mqcat push amqp:jobs-1"],
      ] as const;
      for (const [typed, expected] of cases) {
        // Names that come too late on a busy machine are not completed.
        const line = await waitFor(
          async () => {
            const line = await complete(typed);
            return line === typed ? undefined : line;
          },
          PATIENCE,
          `${typed} in ${name}`,
        );
        if (typeof expected === "string") assert.equal(line, expected, terminal.text);
        else assert.match(line ?? "", expected);
      }
      terminal.write("exit\r");
      await terminal.exit();
    });
  }

  test("powershell - there is a script for it", async () => {
    const { code, stdout } = await run(["completion", "powershell"]);
    assert.deepEqual(
      [code, /Register-ArgumentCompleter -Native -CommandName mqcat/.test(stdout.toString())],
      [0, true],
    );
    // Names in quotes run no command.
    assert.match(stdout.toString(), /EscapeSingleQuotedStringContent/);
    // It passes a space for an empty word.
    assert.ok((await candidates(["queue", " "])).includes("put"));
  });
});
