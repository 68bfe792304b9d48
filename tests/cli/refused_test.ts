/** Exit code 4: a peer answers, but it is incompatible. */
import assert from "node:assert/strict";
import net from "node:net";
import { describe } from "node:test";
import { run, start, summaryOf, test } from "../support/mqcat.ts";

const TALKS_TO: Record<string, string> = {
  pub: "PUB talks to SUB or XSUB",
  sub: "SUB talks to PUB or XPUB",
  push: "PUSH talks to PULL",
  pull: "PULL talks to PUSH",
  req: "REQ talks to REP or ROUTER",
  rep: "REP talks to REQ or DEALER",
};
const extras = (command: string) => command === "rep" ? ["--echo"] : [];

/** The error that `own` prints about its incompatible peer: the first end to notice reports it to the other. */
function refusal(own: string, peer: string, endpoint: string): RegExp {
  const [OWN, PEER] = [own.toUpperCase(), peer.toUpperCase()];
  return new RegExp(
    `^mqcat: ${own}: (no handshake with ${endpoint}: )?` +
      `(the peer is a ${PEER} socket, and ${TALKS_TO[own]}` +
      `|the peer refused: a ${PEER} socket cannot talk to a ${OWN} socket)$`,
    "m",
  );
}

describe("an incompatible peer", () => {
  for (const bound of Object.keys(TALKS_TO)) {
    test(`${bound} - reports incompatible peers, which exit with 4, and keeps serving others`, async () => {
      const right = { pub: "sub", sub: "pub", push: "pull", pull: "push", req: "rep", rep: "req" }[bound];
      using server = start([bound, "@:0", ...extras(bound)], { open: true });
      const endpoint = await server.readyEndpoint();
      for (const wrong of Object.keys(TALKS_TO).filter((command) => command !== right && command !== bound)) {
        const { code, stdout, stderr } = await run([wrong, `>${endpoint}`, ...extras(wrong)], {
          stdin: "x\n",
        });
        assert.deepEqual([code, stdout.length], [4, 0], `${wrong}: ${stderr}`);
        assert.match(stderr, refusal(wrong, bound, `>?${endpoint}`));
        await server.waitForStderr(refusal(bound, wrong, "tcp://127\\.0\\.0\\.1"));
      }
      assert.equal(server.code, undefined);
    });
  }

  test("push, req, dealer - report the peer at once, although no line of input has arrived", async () => {
    await Promise.all([["push", "rep"], ["req", "pull"], ["dealer", "pull"]].map(async ([own, peer]) => {
      using server = start([peer!, ":0", ...extras(peer!)], { open: true });
      using client = start([own!, `>${await server.readyEndpoint()}`], { open: true });
      const { code, stderr } = await client.exit();
      assert.equal(code, 4, stderr);
      assert.match(stderr, /socket/);
    }));
  });

  test("push - counts undelivered messages", async () => {
    using pub = start(["pub", ":0"], { open: true });
    const args = ["push", `>${await pub.readyEndpoint()}`, "--summary"];
    const { code, stderr } = await run(args, { stdin: "1\n2\n" });
    assert.deepEqual([code, summaryOf(stderr)["unsent"]], [4, 2]);
    assert.match(stderr, /2 messages could not be delivered/);
  });

  test("one incompatible endpoint of several does not end the others", async () => {
    using pub = start(["pub", ":0"], { open: true });
    using push = start(["push", "@:0"], { open: true });
    const endpoints = [await pub.readyEndpoint(), await push.readyEndpoint()];
    using pull = start(["pull", ...endpoints.map((e) => `>${e}`), "-n", "1"]);
    await pull.waitForStderr(/no handshake with .*: the peer is a PUB socket, and PULL talks to PUSH/);
    push.write("x\n");
    const { code, stdout } = await pull.exit();
    assert.deepEqual([code, stdout.toString()], [0, "x\n"]);
  });

  test("a server of another protocol is reported as not ZMTP, with exit code 4", async () => {
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.end("220 mail.example ESMTP\r\n");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as net.AddressInfo;
      for (const command of ["push", "sub", "req"]) {
        const { code, stderr } = await run([command, `>tcp://127.0.0.1:${port}`], { stdin: "x\n" });
        assert.equal(code, 4, stderr);
        assert.match(stderr, /220 mail|does not speak ZMTP|not ZMTP/);
      }
    } finally {
      server.close();
    }
  });
});
