/** The client's login against servers that the test plays. */
import assert from "node:assert/strict";
import net from "node:net";
import { describe, it } from "node:test";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { FrameEncoder } from "../../../../lib/amqp/frames/frame_encoder.ts";
import { MqcatError } from "../../../../lib/errors.ts";

const encode = (fill: (encoder: FrameEncoder) => void): Uint8Array => {
  const encoder = new FrameEncoder();
  fill(encoder);
  return encoder.out.take().slice();
};
const START = encode((encoder) =>
  encoder.method(0, "connection.start", {
    versionMinor: 9,
    mechanisms: new TextEncoder().encode("AMQPLAIN PLAIN"),
    locales: new TextEncoder().encode("en_US"),
    serverProperties: { product: "Played", version: "1" },
  })
);
const TUNE = encode((encoder) =>
  encoder.method(0, "connection.tune", { channelMax: 10, frameMax: 4096, heartbeat: 0 })
);

type Answer = Uint8Array | "end" | "nothing";

/** A server that gives one answer to each thing the client sends. */
async function play(answers: readonly Answer[], check: (url: string) => Promise<void>) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    let at = 0;
    socket.on("error", () => {});
    socket.on("data", () => {
      const answer = answers[at++] ?? "nothing";
      if (answer === "end") socket.end();
      else if (answer !== "nothing") socket.write(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await check(`amqp://me:secret@127.0.0.1:${(server.address() as net.AddressInfo).port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

describe("AMQP login", () => {
  const refused: [name: string, answers: readonly Answer[], code: string, words: RegExp][] = [
    ["nothing comes", ["nothing"], "ERR_HANDSHAKE_TIMEOUT", /did not finish within/],
    ["the server hangs up at once", ["end"], "ERR_UNREACHABLE", /closed the connection during the handshake/],
    ["the server hangs up after the login", [START, "end"], "ERR_AUTH", /hung up after the login of 'me'/],
    [
      "another protocol",
      [new TextEncoder().encode("SSH-2.0-x\r\n")],
      "ERR_PROTOCOL",
      /does not speak AMQP \(it sent 'SSH-2.0-x'\)/,
    ],
    [
      "another version",
      [Uint8Array.of(65, 77, 81, 80, 0, 1, 0, 0)],
      "ERR_INCOMPATIBLE_PEER",
      /refused AMQP 0-9-1/,
    ],
    [
      "a method out of turn",
      [TUNE],
      "ERR_PROTOCOL",
      /sent connection.tune where connection.start was expected/,
    ],
    [
      "no login with a password",
      [encode((encoder) =>
        encoder.method(0, "connection.start", { mechanisms: new TextEncoder().encode("EXTERNAL") })
      )],
      "ERR_INCOMPATIBLE_PEER",
      /no login with a password \(PLAIN\), but EXTERNAL/,
    ],
    [
      "frames under the limit",
      [START, encode((encoder) => encoder.method(0, "connection.tune", { frameMax: 100 }))],
      "ERR_PROTOCOL",
      /wants frames of 100 bytes/,
    ],
  ];
  for (const [name, answers, code, words] of refused) {
    it(`refused - ${name}`, async () => {
      await play(answers, async (url) => {
        await assert.rejects(
          connectBroker(parseAmqpUrl(url), { handshakeTimeout: name.startsWith("nothing") ? 200 : 5000 }),
          (error: Error) => {
            assert.ok(error instanceof MqcatError);
            assert.deepEqual([error.code, words.test(error.message)], [code, true], error.message);
            assert.doesNotMatch(error.message, /secret/);
            return true;
          },
        );
      });
    });
  }

  it("blocked - a server that is out of resources says so right behind its welcome", async () => {
    const welcome = encode((encoder) => {
      encoder.method(0, "connection.open-ok", {});
      encoder.method(0, "connection.blocked", { reason: "low on disk" });
    });
    // tune-ok and open may come together or apart.
    await play([START, TUNE, welcome], async (url) => {
      const connection = await connectBroker(parseAmqpUrl(url), { handshakeTimeout: 5000 });
      assert.deepEqual([connection.server, connection.blocked], ["Played 1", "low on disk"]);
      assert.equal(connection.encoder.frameMax, 4096);
      connection.abort();
      await connection.closed;
    });
  });
});
