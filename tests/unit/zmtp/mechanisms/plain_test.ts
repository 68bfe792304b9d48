/** PLAIN (RFC 24) on the wire: valid and invalid commands in both roles. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  AuthError,
  LimitError,
  plainClient,
  plainServer,
  ProtocolError,
  type ZapRequest,
} from "../../../../mod.ts";
import { concat, utf8 } from "../../../../lib/zmtp/bytes.ts";
import { handshake } from "../../../../lib/zmtp/handshake.ts";
import type { HandshakeOptions } from "../../../../lib/zmtp/handshake_options.ts";
import { deadline } from "../../../support/helpers.ts";
import {
  command,
  failure,
  greeting3,
  property,
  ready,
  ScriptedStream,
} from "../../../support/scripted_stream.ts";

const GREETING = greeting3(1, "PLAIN");
const HELLO = command("HELLO", Uint8Array.of(3), utf8("bob"), Uint8Array.of(6), utf8("secret"));
const INITIATE = command("INITIATE", property("Socket-Type", "PUSH"));

const secret = ({ credentials: [, password] }: ZapRequest) =>
  new TextDecoder().decode(password) === "secret"
    ? { status: 200 as const, userId: "user 1" }
    : { status: 400 as const, text: "that is not it" };

const SERVER: HandshakeOptions = {
  socketType: "PULL",
  security: plainServer({ handler: secret }),
  dialed: false,
  timeout: 3000,
};
const CLIENT: HandshakeOptions = {
  socketType: "PUSH",
  security: plainClient("bob", "secret"),
  dialed: true,
  timeout: 3000,
};

describe("security_plain", () => {
  it("server - HELLO, WELCOME, INITIATE, READY", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, SERVER);
    await stream.feedEach(concat([GREETING, HELLO]));
    assert.deepEqual(await stream.untilSent(64 + 10), concat([greeting3(1, "PLAIN", 1), command("WELCOME")]));
    await stream.feedEach(INITIATE);
    const { peer } = await deadline(shaking);
    assert.equal(peer.mechanism, "PLAIN");
    assert.equal(peer.userId, "user 1");
    assert.equal(peer.socketType, "PUSH");
    assert.deepEqual(stream.sent.subarray(74), ready("PULL"));
  });

  it("client - sends its user name and password after the greeting, and its metadata after WELCOME", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, CLIENT);
    stream.feed(greeting3(1, "PLAIN", 1));
    assert.deepEqual((await stream.untilSent(64 + HELLO.length)).subarray(64), HELLO);
    stream.feed(command("WELCOME"));
    await stream.untilSent(64 + HELLO.length + INITIATE.length);
    assert.deepEqual(stream.sent.subarray(64 + HELLO.length), INITIATE);
    stream.feed(ready("PULL"));
    assert.equal((await deadline(shaking)).peer.socketType, "PULL");
  });

  it("credentials - may have 0 to 255 bytes; longer ones are rejected at once", async () => {
    const asked: number[][] = [];
    const security = plainServer({
      handler: ({ credentials }) => {
        asked.push(credentials.map(({ length }) => length));
        return { status: 200 };
      },
    });
    for (const [name, password] of [["", ""], ["n".repeat(255), "p".repeat(255)]] as const) {
      const [client, server] = [new ScriptedStream(), new ScriptedStream()];
      const shaking = handshake(client, { ...CLIENT, security: plainClient(name, password) });
      client.feed(GREETING);
      const length = name.length + password.length + 8 > 255 ? 9 + 8 + 510 : 2 + 8;
      const hello = (await client.untilSent(64 + length)).subarray(64);
      const serving = handshake(server, { ...SERVER, security });
      server.feed(concat([GREETING, hello, INITIATE]));
      await deadline(serving);
      client.close();
      await assert.rejects(shaking);
    }
    assert.deepEqual(asked, [[0, 0], [255, 255]]);
    assert.throws(() => plainClient("n".repeat(256), ""), LimitError);
    assert.throws(() => plainClient("", "ä".repeat(128)), LimitError);
  });

  it("server - refuses a wrong password with libzmq's status, without READY", async () => {
    const wrong = command("HELLO", Uint8Array.of(3), utf8("bob"), Uint8Array.of(1), utf8("x"));
    const stream = await failure(
      concat([GREETING, wrong, INITIATE]),
      AuthError,
      "The peer was refused: 400, that is not it",
      SERVER,
    );
    assert.deepEqual(stream.sent.subarray(64), command("ERROR", Uint8Array.of(3), utf8("400")));
    assert.ok(stream.ended, "the peer must be able to read the reason before the end");
  });

  const hellos: [name: string, frame: Uint8Array, words: RegExp][] = [
    ["is empty", command("HELLO"), /malformed HELLO/],
    ["has no password", command("HELLO", Uint8Array.of(3), utf8("bob")), /malformed HELLO/],
    ["is truncated in the name", command("HELLO", Uint8Array.of(9), utf8("bob")), /malformed HELLO/],
    ["is truncated in the password", command("HELLO", Uint8Array.of(0, 4), utf8("abc")), /malformed HELLO/],
    ["has extra bytes", command("HELLO", Uint8Array.of(0, 0, 0)), /malformed HELLO/],
    [
      "ends after a name of 255 bytes",
      command("HELLO", Uint8Array.of(255), new Uint8Array(200)),
      /malformed HELLO/,
    ],
    ["is INITIATE", INITIATE, /sent INITIATE where HELLO was expected/],
    ["is the READY of a NULL peer", ready("PUSH"), /sent READY where HELLO was expected/],
    ["is a message", Uint8Array.of(0, 2, 65, 66), /where a command was expected/],
  ];
  for (const [name, frame, words] of hellos) {
    it(`server - a HELLO that ${name} is a protocol error`, async () => {
      await failure(concat([GREETING, frame]), ProtocolError, words, SERVER);
    });
  }

  it("server - ignores all input from a refused client", async () => {
    await failure(concat([GREETING, HELLO, HELLO]), ProtocolError, /sent HELLO where INITIATE/, SERVER);
    await failure(
      concat([GREETING, HELLO, Uint8Array.of(0, 1, 65)]),
      ProtocolError,
      /where a command was expected/,
      SERVER,
    );
  });

  it("client - rejects a command other than WELCOME, and a WELCOME with data", async () => {
    const spoiled: [Uint8Array, RegExp][] = [
      [command("WELCOME", utf8("x")), /WELCOME that is not empty/],
      [ready("PULL"), /sent READY where WELCOME/],
      [HELLO, /sent HELLO where WELCOME/],
    ];
    for (const [frame, words] of spoiled) {
      await failure(concat([greeting3(1, "PLAIN"), frame]), ProtocolError, words, CLIENT);
    }
  });

  it("client - reports the reason of a refusal: explains a status, and quotes text", async () => {
    const error = (reason: string) =>
      concat([GREETING, command("ERROR", Uint8Array.of(reason.length), utf8(reason))]);
    await failure(
      error("400"),
      AuthError,
      "The peer does not accept our user name and password (400)",
      CLIENT,
    );
    await failure(
      error("500"),
      AuthError,
      "The peer could not check our user name and password (500)",
      CLIENT,
    );
    await failure(error("go away"), Error, "the peer refused: go away", CLIENT);
  });

  it("client - understands the misspelled ERROR of libzmq 4.3", async () => {
    const error = Uint8Array.of(4, 9, ...utf8("^RROR"), 3, ...utf8("400"));
    await failure(
      concat([GREETING, error]),
      AuthError,
      /does not accept our user name and password \(400\)/,
      CLIENT,
    );
  });

  it("client - reports a peer that closes after HELLO as an uncertain refusal", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, CLIENT);
    stream.feed(GREETING);
    await stream.untilSent(64 + HELLO.length);
    stream.feedEnd();
    await assert.rejects(deadline(shaking), (error: unknown) => {
      assert.ok(error instanceof AuthError, String(error));
      return !error.certain && /closed the connection when it received our user name/.test(error.message);
    });
  });
});
