/** One word has one meaning in all commands; the spellings of version 0.1.0 still work. */
import assert from "node:assert/strict";
import process from "node:process";
import { after, describe } from "node:test";
import { run, shim, start, test, through } from "../support/mqcat.ts";

const bin = shim();

/** Runs a script with a broker; `mqcat` is on the PATH. Returns what it prints. */
async function withBroker(
  options: readonly string[],
  script: string,
  variables: Record<string, string> = {},
): Promise<string> {
  const env = { PATH: `${bin.path}:${process.env["PATH"]}`, ...variables };
  const { code, stdout, stderr } = await run(["queue", "run", ...options, "--", "bash", "-ec", script], {
    env,
  });
  assert.equal(code, 0, stderr);
  return stdout.toString();
}

describe("spelling", () => {
  after(() => bin.remove());

  test("--data - is the text of --text where no directory is possible, with a warning", async () => {
    using pull = start(["pull", ":0", "-n", "3"]);
    const endpoint = await pull.readyEndpoint();
    const { code, stderr } = await run(["push", endpoint, "-D", "a", "--data", "b", "--text", "c"]);
    assert.deepEqual([code, stderr], [0, "mqcat: push: --data is now --text\n"]);
    assert.equal((await pull.exit()).stdout.toString(), "a\nb\nc\n");
    assert.equal((await through(["push", "--text", "x"], ["pull"])).toString(), "x\n");
  });

  test("--data - is a directory in the queue commands", async () => {
    const { code, stderr } = await run(["queue", "get", "jobs", "--data", "/no/such/directory"]);
    assert.deepEqual([code, /no such directory/.test(stderr)], [2, true], stderr);
  });

  test("-H - takes name=value and 'name: value'", async () => {
    const script =
      "mqcat push amqp:jobs --declare -D x -H a=1 -H 'b: 2'; mqcat pull amqp:jobs --drain -f '%h\\n'";
    assert.equal(await withBroker([], script), "a=1,b=2\n");
  });

  test("--http - takes a port, host:port or a URL everywhere, and queue run needs none", async () => {
    const script =
      'mqcat queue declare jobs; u=$AMQP_HTTP_URL; for a in "$u" "${u#http://}" ":${u##*:}"; do ' +
      'mqcat queue list --http "$a" -J | grep -c jobs; done';
    assert.equal(await withBroker(["--http"], script), "1\n1\n1\n");
    for (const form of [":0", "127.0.0.1:0", "http://127.0.0.1:0"]) {
      assert.match(
        await withBroker(["--http", form], "echo $AMQP_HTTP_URL"),
        /^http:\/\/127\.0\.0\.1:\d+\n$/,
      );
    }
    for (
      const args of [["queue", "list", "--http", "15672"], ["queue", "serve", "--memory", "--http", "x"]]
    ) {
      const { code, stderr } = await run(args);
      assert.deepEqual(
        [code, /--http '.*': expected host:port, :port or http/.test(stderr)],
        [2, true],
        stderr,
      );
    }
  });

  test("MQCAT_PASSWORD - is the password of all systems; those of one system are still read", async () => {
    const login = (env: string) =>
      `url=$(sed s/:secret// <<<"$AMQP_URL"); ${env} mqcat queue list --url "$url" >&2 && echo ok || echo refused`;
    const outcome = (env: string) => withBroker(["--user", "me"], login(env), { MQCAT_PASSWORD: "secret" });
    assert.equal(await outcome(""), "ok\n");
    assert.equal(await outcome("MQCAT_PASSWORD=no AMQP_PASSWORD=secret"), "refused\n");
    assert.equal(await outcome("env -u MQCAT_PASSWORD AMQP_PASSWORD=secret"), "ok\n");
    assert.equal(await outcome("env -u MQCAT_PASSWORD AMQP_PASSWORD=no"), "refused\n");
    const asGuest =
      'mqcat queue list --url "$(sed "s#//.*@#//#" <<<"$AMQP_URL")" >&2 && echo ok || echo refused';
    assert.equal(
      await withBroker([], asGuest, { MQCAT_PASSWORD: "x" }),
      "ok\n",
      "it is not about guest, who is not named",
    );
    assert.equal(
      (await run(["queue", "run", "--user", "me", "--", "true"], { env: { AMQP_PASSWORD: "x" } })).code,
      0,
    );
  });
});
