/** The login of the STOMP client, and what the errors of a server mean. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProtocolError, UnreachableError } from "../../../../lib/errors.ts";
import { StompConnection } from "../../../../lib/stomp/client/connection.ts";
import { isPermanent } from "../../../../lib/stomp/client/errors.ts";
import { logIn } from "../../../../lib/stomp/client/handshake.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import { StompError } from "../../../../lib/stomp/stomp_error.ts";
import { deadline } from "../../../support/helpers.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";

/** Logs in at a server that answers with this text. @returns what the client sent, and the login or its error */
async function login(answer: string | Uint8Array, query = "") {
  const stream = new ScriptedStream();
  const [server] = parseStompAddress(`stomp://me:secret@host?${query}`).servers;
  const attempt = logIn(stream, server!, 5000).catch((error: Error) => error);
  stream.feed(answer);
  const result = await deadline(attempt, 5000, "the login");
  assert.equal(stream.over, result instanceof Error, "a failed login closes the stream");
  return { sent: new TextDecoder().decode(stream.sent), result };
}

describe("STOMP client: login", () => {
  it("heart-beats - the longer interval of both ends, for each direction", async () => {
    const cases: [own: number, header: string | undefined, sends: number, receives: number][] = [
      [10, undefined, 0, 0],
      [10, "0,0", 0, 0],
      [10, "10000,0", 0, 10_000],
      [10, "0,10000", 10_000, 0],
      [10, "9999,10001", 10_001, 10_000],
      [10, " 20000 , 5 ", 10_000, 20_000],
      [10, "999999999,999999999", 999_999_999, 999_999_999],
      [10, "1000000000,5", 0, 0],
      [10, "5", 0, 0],
      [0, "5,5", 0, 0],
    ];
    for (const [own, header, sendInterval, receiveInterval] of cases) {
      const beat = header === undefined ? "" : `heart-beat:${header}\n`;
      const { sent, result } = await login(`CONNECTED\nversion:1.2\n${beat}\n\0`, `heartbeat=${own}`);
      assert.ok(!(result instanceof Error));
      assert.deepEqual(
        [result.sendInterval, result.receiveInterval],
        [sendInterval, receiveInterval],
        header,
      );
      assert.match(
        sent,
        new RegExp(
          `^CONNECT\naccept-version:1.0,1.1,1.2\nhost:/\nlogin:me\npasscode:secret\n` +
            `heart-beat:${own * 1000},${own * 1000}\n\n\0`,
        ),
      );
    }
  });

  it("versions and names - those that the server says, and defaults", async () => {
    for (
      const [headers, version, server] of [
        ["", "1.0", "a STOMP server"],
        ["version:1.1\nserver:RabbitMQ/3.13\n", "1.1", "RabbitMQ 3.13"],
        ["version:1.2\nserver: \n", "1.2", "a STOMP server"],
      ] as const
    ) {
      const { result } = await login(`CONNECTED\n${headers}\n\0`);
      assert.ok(!(result instanceof Error));
      assert.deepEqual([result.version, result.decoder.version, result.server], [version, version, server]);
    }
  });

  const long = "9".repeat(30);
  const refused: [answer: string | Uint8Array, code: string, message: string][] = [
    ["RECEIPT\nreceipt-id:1\n\n\0", "ERR_PROTOCOL", "The server sent RECEIPT: expected CONNECTED"],
    [`${"A".repeat(21)}\n\n\0`, "ERR_PROTOCOL", `The server sent ${"A".repeat(20)}: expected CONNECTED`],
    [
      `CONNECTED\nversion:${long}\n\n\0`,
      "ERR_INCOMPATIBLE_PEER",
      `The server chose version '${long.slice(0, 20)}' of STOMP: this client speaks 1.0, 1.1, 1.2`,
    ],
    [
      "ERROR\nmessage:version not supported\n\n 9 only \n\0",
      "ERR_INCOMPATIBLE_PEER",
      "The server speaks no version of STOMP that this client speaks (1.0, 1.1, 1.2): 9 only",
    ],
    ["ERROR\nmessage:the version\n\nx\0", "ERR_STOMP", "the version: x"],
    ["ERROR\n\nx\0", "ERR_STOMP", "ERROR: x"],
    [
      "ERROR\nmessage:Bad CONNECT\n\nvirtual host '/' not found\0",
      "ERR_AUTH",
      "Virtual host '/' does not exist, or user 'me' has no access to it (it is the parameter vhost of the URL)",
    ],
    [
      "ERROR\nmessage:Bad CONNECT\n\n too many \n\0",
      "ERR_AUTH",
      "The server refused the connection: too many",
    ],
    ...[
      "access refused",
      "bad Password",
      "no passcode",
      "not authenticated",
      "non-loopback",
      "not authorized",
    ].map((text): [string, string, string] => [
      `ERROR\nmessage:x\n\n${text}\0`,
      "ERR_AUTH",
      "Login refused for user 'me': wrong user or password, or this user may log in only from the machine of the broker",
    ]),
    [
      Uint8Array.of(0x15, 3, 1),
      "ERR_INCOMPATIBLE_PEER",
      "The peer speaks TLS: use stomps:// at both ends, or stomp:// at both ends",
    ],
    [
      Uint8Array.of(0x16, 3, 1),
      "ERR_INCOMPATIBLE_PEER",
      "The peer speaks TLS: use stomps:// at both ends, or stomp:// at both ends",
    ],
    [
      Uint8Array.of(0xff, 0, 0),
      "ERR_INCOMPATIBLE_PEER",
      "The peer speaks ZMTP (ZeroMQ), not STOMP: a ZeroMQ socket has a tcp:// address",
    ],
    [
      "GET / HTTP/1.1\r\n\r\n",
      "ERR_INCOMPATIBLE_PEER",
      "The peer speaks HTTP, not STOMP: a browser needs STOMP over a WebSocket",
    ],
  ];
  it("refusals - each has its words", async () => {
    for (const [answer, code, message] of refused) {
      const { result } = await login(answer);
      const { code: found, message: words } = result as Error & { code: string };
      assert.deepEqual([found, words], [code, message]);
    }
  });

  it("frames - those that follow CONNECTED in one chunk are for the connection", async () => {
    const stream = new ScriptedStream();
    const [server] = parseStompAddress("stomp://host").servers;
    const attempt = logIn(stream, server!, 5000);
    stream.feed("CONNECTED\nversion:1.2\n\n\0ERROR\nmessage:over\n\n\0");
    const connection = new StompConnection(stream, await deadline(attempt), server!, 1000);
    assert.equal(`${await deadline(connection.closed)}`, "StompError: over: ");
  });

  it("errors - permanent are those that the server would report again", () => {
    const refusedBy = (code: number) => `{amqp_error,x,{shutdown,{server_initiated_close,${code},<<"x">>}}}`;
    const cases: [error: Error, permanent: boolean][] = [
      [new ProtocolError("x"), true],
      [new UnreachableError("x"), false],
      [new Error("x"), false],
      [new StompError("not_found", ""), true],
      [new StompError("Message refused", ""), false],
      [new StompError("connection_forced", ""), false],
      [new StompError("resource_error", ""), false],
      [new StompError("internal_error", ""), false],
      [new StompError("AMQP connection died", "shutdown"), false],
      [new StompError("AMQP channel died", "shutdown"), false],
      [new StompError("an AMQP channel died", "shutdown"), true],
      [new StompError("AMQP queue died", "shutdown"), true],
      ...[320, 506, 541].map((
        code,
      ): [Error, boolean] => [new StompError("AMQP connection died", refusedBy(code)), false]),
      ...[404, 403, 540].map((
        code,
      ): [Error, boolean] => [new StompError("AMQP channel died", refusedBy(code)), true]),
    ];
    for (const [error, permanent] of cases) assert.equal(isPermanent(error), permanent, `${error}`);
    assert.equal(new StompError("a", " b\nc \n").message, "a: b c");
  });
});
