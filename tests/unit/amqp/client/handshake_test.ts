/** The login of the client, against scripted servers. */
import assert from "node:assert/strict";
import net from "node:net";
import { describe, it } from "node:test";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { DUMP } from "../../../../lib/amqp/dump.ts";
import { FrameEncoder } from "../../../../lib/amqp/frames/frame_encoder.ts";
import { PEEK, WHERE } from "../../../../lib/amqp/peek.ts";
import { MqcatError } from "../../../../lib/errors.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";
import { ANSWERS, serve } from "../../../support/scripted_broker.ts";

const LIMIT = { handshakeTimeout: 5000 };

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
const REPORTING = encode((encoder) =>
  encoder.method(0, "connection.start", {
    versionMinor: 9,
    mechanisms: new TextEncoder().encode("PLAIN"),
    serverProperties: { capabilities: { authentication_failure_close: true } },
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
      "another reason at the virtual host",
      [START, TUNE, close(530, "NOT_ALLOWED - so")],
      "ERR_AMQP_CONNECTION",
      /^NOT_ALLOWED - so$/,
    ],
    [
      "a wrong password",
      [START, close(403, "ACCESS_REFUSED - Login was refused")],
      "ERR_AUTH",
      /^Login refused for user 'me': wrong user or password, or this user may log in only from the machine of the broker$/,
    ],
    [
      "an error after the login",
      [START, close(541, "INTERNAL_ERROR - x")],
      "ERR_AMQP_CONNECTION",
      /^INTERNAL_ERROR - x$/,
    ],
    [
      "the end of the stream after the login, if the server reports refusals",
      [REPORTING, "end"],
      "ERR_UNREACHABLE",
      /closed the connection during the handshake/,
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

  it("login - the hint about a slash is only for names without one", async () => {
    for (
      const [path, message] of [
        [
          "shop",
          "Virtual host 'shop' does not exist (it is the path of the URL; '/shop' is written /%2Fshop)",
        ],
        ["%2Fshop", "Virtual host '/shop' does not exist (it is the path of the URL)"],
      ]
    ) {
      await play([START, TUNE, close(530, "NOT_ALLOWED - vhost not found")], async (url) => {
        await assert.rejects(connectBroker(parseAmqpUrl(`${url}/${path}`), LIMIT), { message });
      });
    }
  });

  it("login - a client certificate instead of a password, and what its refusal means", async () => {
    const external = encode((encoder) =>
      encoder.method(0, "connection.start", {
        versionMinor: 9,
        mechanisms: new TextEncoder().encode("PLAIN EXTERNAL"),
      })
    );
    for (const answer of [close(403, "ACCESS_REFUSED"), "end"] as const) {
      await play([external, answer], async (url) => {
        await assert.rejects(connectBroker(parseAmqpUrl(`${url}?auth_mechanism=external`), LIMIT), {
          code: "ERR_AUTH",
          message:
            "Login refused with the client certificate: its name is not a user of the broker, or there is no " +
            "certificate",
        });
      });
    }
  });

  it("login - what both sides agree on, and what the server learns of the client", async () => {
    const most = { frameMax: 131072, channelMax: 2047, heartbeat: 0 };
    const cases: [query: string, tune: object, agreed: object][] = [
      ["", { frameMax: 0, channelMax: 0, heartbeat: 0 }, most],
      ["", { frameMax: 131073, channelMax: 2048, heartbeat: 60 }, { ...most, heartbeat: 60 }],
      ["", { frameMax: 4096, channelMax: 1, heartbeat: 1 }, { frameMax: 4096, channelMax: 1, heartbeat: 1 }],
      ["?heartbeat=0&frame_max=8192&channel_max=5", { frameMax: 9000, channelMax: 6, heartbeat: 60 }, {
        frameMax: 8192,
        channelMax: 5,
        heartbeat: 0,
      }],
      ["?heartbeat=9&frame_max=8192&channel_max=5", { frameMax: 8191, channelMax: 4, heartbeat: 60 }, {
        frameMax: 8191,
        channelMax: 4,
        heartbeat: 9,
      }],
      ["?frame_max=200000&channel_max=3000", { frameMax: 0, channelMax: 0, heartbeat: 0 }, most],
    ];
    for (const [query, tune, agreed] of cases) {
      const seen = new Map<string, Record<string, unknown>>();
      await serve({
        answers: () => ({ ...ANSWERS, "connection.start-ok": ["connection.tune", tune] }),
        mechanisms: "EXTERNAL PLAIN",
        on: (_served, name, _channel, args) => void seen.set(name, args as Record<string, unknown>),
      }, async (url) => {
        const [scheme, host] = url.split("//");
        const connection = await connectBroker(
          parseAmqpUrl(`${scheme}//me:secret@${host}/shop${query}`),
          LIMIT,
        );
        assert.deepEqual({ ...seen.get("connection.tune-ok") }, agreed);
        assert.equal(connection.encoder.frameMax, (agreed as { frameMax: number }).frameMax);
        assert.equal(connection.server, "an AMQP server");
        assert.deepEqual([connection.peeks, connection.dumps, connection.sweeps], [false, false, false]);
        assert.equal(seen.get("connection.open")!["virtualHost"], "shop");
        const start = seen.get("connection.start-ok")!;
        assert.deepEqual([start["mechanism"], start["locale"]], ["PLAIN", "en_US"]);
        assert.equal(new TextDecoder().decode(start["response"] as Uint8Array), "\0me\0secret");
        const { product, capabilities, ...rest } = start["clientProperties"] as Record<string, object>;
        assert.deepEqual([product, rest], ["mqcat", {}]);
        assert.deepEqual({ ...capabilities }, {
          publisher_confirms: true,
          "basic.nack": true,
          consumer_cancel_notify: true,
          "connection.blocked": true,
          authentication_failure_close: true,
        });
        connection.abort();
      });
    }
  });

  it("login - the certificate of the client, the name of the connection, and what the server can do", async () => {
    let start: Record<string, unknown> = {};
    for (const capability of [PEEK, WHERE, DUMP]) {
      await serve({
        mechanisms: "EXTERNAL",
        capabilities: { [capability]: true },
        on(_served, name, _channel, args) {
          if (name === "connection.start-ok") start = args as Record<string, unknown>;
        },
      }, async (url) => {
        const connection = await connectBroker(
          parseAmqpUrl(`${url}?auth_mechanism=external&name=a+b`),
          LIMIT,
        );
        assert.deepEqual([start["mechanism"], (start["response"] as Uint8Array).length], ["EXTERNAL", 0]);
        assert.equal((start["clientProperties"] as { connection_name: string }).connection_name, "a b");
        assert.deepEqual(
          [connection.peeks, connection.sweeps, connection.dumps],
          [PEEK, WHERE, DUMP].map((name) => name === capability),
        );
        connection.abort();
      });
    }
  });

  it("TLS - a server that ends the connection at once may want a certificate", async () => {
    const hint = " (the server may require a client certificate, or another one)";
    const gone = "The peer closed the connection during the handshake";
    for (
      const [scheme, answer, words] of [
        ["amqps", undefined, gone + hint],
        ["amqp", undefined, gone],
        ["amqps", "SSH-2.0-x\r\n", "The peer does not speak AMQP (it sent 'SSH-2.0-x')"],
      ] as const
    ) {
      const stream = new ScriptedStream();
      const connecting = connectBroker(parseAmqpUrl(`${scheme}://host`), {
        ...LIMIT,
        dial: () => Promise.resolve(stream),
      });
      if (answer === undefined) stream.feedEnd();
      else stream.feed(answer);
      await assert.rejects(connecting, (error: Error) => {
        assert.ok(error.message.startsWith(words), error.message);
        assert.equal(error.message.endsWith(hint), words.endsWith(hint));
        return true;
      });
    }
  });
});
