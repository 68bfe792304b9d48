/** The login of the client, against scripted servers. */
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
const close = (replyCode: number, replyText: string) =>
  encode((encoder) => encoder.method(0, "connection.close", { replyCode, replyText }));

type Answer = Uint8Array | "end" | "nothing";

/** A server that sends the next answer for each chunk that the client sends. */
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

describe("AMQP client login", () => {
  const refused: [name: string, answers: readonly Answer[], code: string, words: RegExp][] = [
    ["the server sends nothing", ["nothing"], "ERR_HANDSHAKE_TIMEOUT", /did not finish within/],
    [
      "the server closes the stream at once",
      ["end"],
      "ERR_UNREACHABLE",
      /closed the connection during the handshake/,
    ],
    [
      "the server closes the stream after the login",
      [START, "end"],
      "ERR_AUTH",
      /closed the connection after the login of 'me'/,
    ],
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
      "an unexpected method",
      [TUNE],
      "ERR_PROTOCOL",
      /sent connection.tune: expected connection.start/,
    ],
    [
      "no mechanism with a password",
      [encode((encoder) =>
        encoder.method(0, "connection.start", { mechanisms: new TextEncoder().encode("EXTERNAL") })
      )],
      "ERR_INCOMPATIBLE_PEER",
      /does not offer the authentication mechanism PLAIN: it offers EXTERNAL/,
    ],
    [
      "a frame size below the minimum of AMQP",
      [START, encode((encoder) => encoder.method(0, "connection.tune", { frameMax: 100 }))],
      "ERR_PROTOCOL",
      /limits frames to 100 bytes/,
    ],
    [
      "a virtual host that does not exist",
      [START, TUNE, close(530, "NOT_ALLOWED - vhost / not found")],
      "ERR_AUTH",
      /^Virtual host '\/' does not exist/,
    ],
    // As the specification has it.
    [
      "an invalid path",
      [START, TUNE, close(402, "INVALID_PATH")],
      "ERR_AUTH",
      /^Virtual host '\/' does not exist/,
    ],
    [
      "a virtual host without access",
      [START, TUNE, close(530, "NOT_ALLOWED - access to vhost '/' refused for user 'me'")],
      "ERR_AUTH",
      /^User 'me' has no access to virtual host '\/'/,
    ],
    [
      "too many connections",
      [START, TUNE, close(530, "NOT_ALLOWED - connection limit (5) is reached")],
      "ERR_AUTH",
      /^The server allows no more connections/,
    ],
    [
      "another failure",
      [START, TUNE, close(541, "INTERNAL_ERROR - not found")],
      "ERR_AMQP_CONNECTION",
      /^INTERNAL_ERROR/,
    ],
  ];
  for (const [name, answers, code, words] of refused) {
    it(`login - fails for ${name}`, async () => {
      await play(answers, async (url) => {
        await assert.rejects(
          connectBroker(parseAmqpUrl(url), { handshakeTimeout: answers[0] === "nothing" ? 200 : 5000 }),
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

  it("login - reads a connection.blocked that follows connection.open-ok", async () => {
    const welcome = encode((encoder) => {
      encoder.method(0, "connection.open-ok", {});
      encoder.method(0, "connection.blocked", { reason: "low on disk" });
    });
    // tune-ok and open may arrive in one chunk or in two.
    await play([START, TUNE, welcome], async (url) => {
      const connection = await connectBroker(parseAmqpUrl(url), { handshakeTimeout: 5000 });
      assert.deepEqual([connection.server, connection.blocked], ["Played 1", "low on disk"]);
      assert.equal(connection.encoder.frameMax, 4096);
      connection.abort();
      await connection.closed;
    });
  });
});
