/** Authentication (RFC 27): handlers, lists, and the errors at both ends. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  allowKeys,
  allowUsers,
  AuthError,
  curveClient,
  curveServer,
  encodeZ85,
  formatKeyFile,
  generateKeyPair,
  HandshakeTimeoutError,
  IncompatiblePeerError,
  type Mechanism,
  nullMechanism,
  parseKeyFile,
  parseUsers,
  plainClient,
  plainServer,
  Pull,
  Push,
  UnreachableError,
  type ZapHandler,
  type ZapReply,
  type ZapRequest,
} from "../../../../mod.ts";
import { utf8 } from "../../../../lib/zmtp/bytes.ts";
import { deadline, tempDir, waitFor } from "../../../support/helpers.ts";
import { subprotocols } from "../../../../lib/zmtp/handshake.ts";
import { failure, PULL, SIGNATURE_BYTES } from "../../../support/scripted_stream.ts";
import { inproc, scoped, SocketLog, texts } from "../../../support/sockets.ts";

const TCP = "tcp://127.0.0.1:0";
const server = await generateKeyPair();
const client = await generateKeyPair();

/** Each mechanism with a handler on one side, and the credentials that the handler gets. */
const KINDS: [
  name: string,
  serve: (handler: ZapHandler) => Mechanism,
  ask: Mechanism,
  credentials: Uint8Array[],
][] = [
  ["NULL", (handler) => nullMechanism({ handler, domain: "home" }), nullMechanism(), []],
  ["PLAIN", (handler) => plainServer({ handler, domain: "home" }), plainClient("me", "pw"), [
    utf8("me"),
    utf8("pw"),
  ]],
  [
    "CURVE",
    (handler) => curveServer({ keyPair: server, zap: { handler, domain: "home" } }),
    curveClient({ serverKey: server.publicKey, keyPair: client }),
    [client.publicKey],
  ],
];

/** A handler with a fixed reply that records its requests. */
function fixed(answer: () => ZapReply | Promise<ZapReply>): { handler: ZapHandler; asked: ZapRequest[] } {
  const asked: ZapRequest[] = [];
  return {
    asked,
    handler: (request) => {
      asked.push(request);
      return answer();
    },
  };
}

describe("security_zap", () => {
  for (const [name, serve, ask, credentials] of KINDS) {
    it(`zap - ${name}: calls the handler once per connection, and reports its user id`, async () => {
      using dir = tempDir();
      for (const endpoint of [TCP, inproc(), `ipc://${dir.file("s")}`]) {
        const log = new SocketLog();
        const { handler, asked } = fixed(() => Promise.resolve({ status: 200, userId: "user 7" }));
        await using pull = scoped(new Pull({ security: serve(handler), onEvent: log.onEvent }));
        await using push = scoped(new Push({ security: ask }));
        push.connect(await pull.bind(endpoint));
        await push.send("hello");
        assert.deepEqual(texts(await deadline(pull.receive())), ["hello"]);
        const { userId, mechanism } = await log.until("connected");
        assert.deepEqual([userId, mechanism], ["user 7", name]);
        assert.equal(asked.length, 1);
        const { domain, address, identity } = asked[0]!;
        assert.deepEqual([domain, address, identity.length], [
          "home",
          endpoint === TCP ? "127.0.0.1" : "",
          0,
        ]);
        assert.equal(asked[0]!.mechanism, name);
        assert.deepEqual(asked[0]!.credentials, credentials);
      }
    });

    it(`zap - ${name}: 400 and 500 are final, and reported at both ends`, async () => {
      const refusals: [() => ZapReply, RegExp, RegExp][] = [
        [
          () => ({ status: 400, text: "not you" }),
          /^The peer was refused: 400, not you$/,
          /does not accept .*\(400\)/,
        ],
        [() => ({ status: 500 }), /^The peer was refused: 500$/, /could not check .*\(500\)/],
        [
          () => ({ status: 201 } as unknown as ZapReply),
          /refused: 500, the handler returned an unknown status: 201$/,
          /could not check .*\(500\)/,
        ],
        [
          () => {
            throw new Error("the disk is gone");
          },
          /^The peer was refused: 500, the check failed: the disk is gone$/,
          /could not check .*\(500\)/,
        ],
      ];
      for (const [answer, there, here] of refusals) {
        const { handler, asked } = fixed(answer);
        const [near, far] = [new SocketLog(), new SocketLog()];
        await using pull = scoped(new Pull({ security: serve(handler), onEvent: far.onEvent }));
        await using push = scoped(
          new Push({ security: ask, onEvent: near.onEvent, reconnect: { first: 1, longest: 1 } }),
        );
        push.connect(await pull.bind(TCP));
        await assert.rejects(deadline(push.send("never")), (error: unknown) => {
          assert.ok(error instanceof AuthError, String(error));
          assert.match(error.message, here);
          return true;
        });
        const { error } = await far.until("handshake-failed");
        assert.ok(error instanceof AuthError);
        assert.match(error.message, there);
        assert.deepEqual([asked.length, near.of("retrying").length, pull.peers], [1, 0, 0]);
      }
    });

    it(`zap - ${name}: 300 is not sent, and the peer connects again`, async () => {
      let left = 2;
      const { handler, asked } = fixed(() => ({ status: left-- > 0 ? 300 : 200 }));
      const log = new SocketLog();
      await using pull = scoped(new Pull({ security: serve(handler), onEvent: log.onEvent }));
      await using push = scoped(new Push({ security: ask, reconnect: { first: 1, longest: 1 } }));
      push.connect(await pull.bind(TCP));
      // A CURVE client treats a second close after its INITIATE as a refusal.
      if (name === "NULL") {
        await push.send("hello");
        assert.deepEqual(texts(await deadline(pull.receive())), ["hello"]);
        assert.equal(asked.length, 3);
      }
      const { error } = await log.until("handshake-failed");
      assert.ok(error instanceof UnreachableError, String(error));
      assert.match(error.message, /refused: 300/);
    });
  }

  it("zap - NULL with a handler rejects protocols without a mechanism: ZMTP 2.0 and bare WebSockets", async () => {
    const { handler, asked } = fixed(() => ({ status: 200 }));
    const security = nullMechanism({ handler });
    const old = Uint8Array.of(...SIGNATURE_BYTES, 1, 8, 0, 0);
    await failure(old, IncompatiblePeerError, /ZMTP 2\.0, which has no security/, { ...PULL, security });
    assert.deepEqual(subprotocols(security), ["ZWS2.0/NULL"]);
    assert.deepEqual(subprotocols(nullMechanism()), ["ZWS2.0/NULL", "ZWS2.0"]);
    assert.equal(asked.length, 0);
  });

  it("zap - a handler that never replies ends with the handshake's deadline", async () => {
    const log = new SocketLog();
    const security = plainServer({ handler: () => new Promise(() => {}) });
    await using pull = scoped(new Pull({ security, onEvent: log.onEvent, handshakeTimeout: 200 }));
    await using push = scoped(new Push({ security: plainClient("a", "b") }));
    push.connect(await pull.bind(TCP));
    assert.ok((await log.until("handshake-failed")).error instanceof HandshakeTimeoutError);
  });

  it("zap - a peer that disconnects while the handler runs is removed", async () => {
    const log = new SocketLog();
    const answer = Promise.withResolvers<ZapReply>();
    const { handler, asked } = fixed(() => answer.promise);
    const security = plainServer({ handler });
    await using pull = scoped(new Pull({ security, onEvent: log.onEvent }));
    const push = new Push({ security: plainClient("a", "b") });
    push.connect(await pull.bind(TCP));
    await waitFor(() => asked.length > 0);
    await push.close();
    answer.resolve({ status: 200 });
    await waitFor(() => log.of("handshake-failed").length + log.of("disconnected").length > 0);
    assert.equal(pull.peers, 0);
  });

  it("lists - keys: accepts only the keys in the file", async () => {
    const file = parseKeyFile(`# friends\n\n${encodeZ85(client.publicKey)}  # alice\r\n`);
    const handler = allowKeys(file.publicKeys);
    const ask = (key: Uint8Array) =>
      handler({
        domain: "",
        address: "",
        identity: new Uint8Array(0),
        mechanism: "CURVE",
        credentials: [key],
      });
    assert.deepEqual(await ask(client.publicKey), { status: 200, userId: encodeZ85(client.publicKey) });
    assert.equal((await ask(server.publicKey)).status, 400);
  });

  it("lists - users: accepts clear text and openssl's hashes, and reports malformed lines by number", async () => {
    const users = parseUsers(
      "# users\nbob:secret\ncarl:with:colons \r\nempty:\ndora:$6$saltsalt$" +
        "qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/\n",
    );
    const handler = allowUsers(users);
    const ask = async (name: string, password: string) => {
      const credentials = [utf8(name), utf8(password)];
      const request = {
        domain: "",
        address: "",
        identity: new Uint8Array(0),
        mechanism: "PLAIN",
        credentials,
      } as const;
      return (await handler(request)).status;
    };
    for (
      const [name, password] of [["bob", "secret"], ["carl", "with:colons "], ["empty", ""], [
        "dora",
        "password",
      ]]
    ) {
      assert.equal(await ask(name!, password!), 200, name);
      assert.equal(await ask(name!, `${password}x`), 400, name);
    }
    for (
      const [name, password] of [["nobody", "secret"], ["", ""], ["bob", ""], ["dora", users.get("dora")!]]
    ) {
      assert.equal(await ask(name!, password!), 400, name);
    }
    assert.throws(() => parseUsers("bob:x\nno colon"), /Line 2 is not name:password/);
    assert.throws(() => parseUsers(":x"), /Line 1 is not name:password/);
    assert.throws(() => parseUsers("bob:x\nbob:y"), /Line 2 repeats the user 'bob'/);
    assert.throws(() => parseUsers("bob:$2y$10$abc"), /unsupported password hash/);
  });

  it("files - reads our certificates, pyzmq's, and bare keys; reports malformed lines by number, without the key", () => {
    const { publicKey, secretKey } = client;
    assert.deepEqual(parseKeyFile(formatKeyFile("mine", client)), {
      publicKeys: [publicKey],
      secretKeys: [secretKey],
    });
    assert.deepEqual(parseKeyFile(formatKeyFile("mine", { publicKey })), {
      publicKeys: [publicKey],
      secretKeys: [],
    });
    const czmq = `#   ****  Generated by CZMQ  ****\nmetadata\n    name = "alice"\ncurve\n    public-key = "${
      encodeZ85(publicKey)
    }"\n    secret-key = "${encodeZ85(secretKey)}"\n`;
    assert.deepEqual(parseKeyFile(czmq), { publicKeys: [publicKey], secretKeys: [secretKey] });
    const many = [server, client].map(({ publicKey }) => encodeZ85(publicKey)).join("\n");
    assert.deepEqual(parseKeyFile(many).publicKeys, [server.publicKey, client.publicKey]);
    // `#` and `=` are characters of Z85, too.
    const sharp = "0=#=0".repeat(8);
    assert.equal(encodeZ85(parseKeyFile(`  ${sharp}\t#comment`).publicKeys[0]!), sharp);
    assert.deepEqual(parseKeyFile("").publicKeys, []);
    assert.throws(() => parseKeyFile("ok = 1\nwhat is this"), /Line 2 is neither a key nor a comment/);
    assert.throws(() => parseKeyFile('\n\n  secret-key = "tooshort"'), (error: Error) => {
      return /line 3 is not 40 characters/.test(error.message) && !error.message.includes("tooshort");
    });
  });
});
