/** STOMP frames by the clauses of the specifications, the limits, and the errors for other protocols. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LimitError, ProtocolError } from "../../../lib/errors.ts";
import { escape, escapesOf, unescape } from "../../../lib/stomp/escapes.ts";
import { StompDecoder } from "../../../lib/stomp/frame_decoder.ts";
import { StompEncoder } from "../../../lib/stomp/frame_encoder.ts";
import { type StompLimits, type StompVersion, VERSIONS } from "../../../lib/stomp/frame.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (text: string) => new TextEncoder().encode(text);

/** Decodes frames as `[command, headers, body]`. */
function decode(input: string, version: StompVersion = "1.2", limits: StompLimits = { maxBody: 100 }) {
  const frames: [string, Record<string, string>, string][] = [];
  const decoder = new StompDecoder({
    onFrame: ({ command, headers, body, bodyStart, bodyEnd }) =>
      frames.push([command, Object.fromEntries(headers), text(body.subarray(bodyStart, bodyEnd))]),
  }, limits);
  decoder.version = version;
  decoder.push(bytes(input));
  return frames;
}

function refused(
  input: string,
  words: RegExp,
  kind: typeof ProtocolError | typeof LimitError = ProtocolError,
) {
  assert.throws(() => decode(input), (error: Error) => {
    assert.match(error.message, words);
    return error instanceof kind;
  });
}

describe("STOMP decoder", () => {
  it("frames - ends of lines around frames are ignored, also CRLF", () => {
    assert.deepEqual(decode("\n\r\n\nSEND\r\na:b\r\n\r\nhi\0\n\n\r\nACK\nid:1\n\n\0"), [
      ["SEND", { a: "b" }, "hi"],
      ["ACK", { id: "1" }, ""],
    ]);
  });

  it("headers - the first of repeated headers counts", () => {
    assert.deepEqual(decode("SEND\nfoo:World\nfoo:Hello\n\n\0"), [["SEND", { foo: "World" }, ""]]);
  });

  it("headers - only the first colon separates, and values may be empty", () => {
    assert.deepEqual(decode("SEND\na:b:c\nd:\n:e\n\n\0"), [["SEND", { a: "b:c", d: "", "": "e" }, ""]]);
  });

  it("headers - spaces are part of them, except at the start of values of 1.0", () => {
    assert.deepEqual(decode("SEND\na : b \n\n\0"), [["SEND", { "a ": " b " }, ""]]);
    assert.deepEqual(decode("SEND\na : b \n\n\0", "1.0"), [["SEND", { "a ": "b " }, ""]]);
    assert.deepEqual(decode("CONNECT\npasscode: b\n\n\0", "1.0"), [["CONNECT", { passcode: " b" }, ""]]);
  });

  it("escapes - by version; none in CONNECT and CONNECTED, and only known ones in STOMP", () => {
    const value = "a:\\c\\n\\\\b";
    const all = (command: string, version: StompVersion) =>
      decode(`${command}\nh:${value}\n\n\0`, version)[0]![1]["h"];
    assert.equal(all("SEND", "1.2"), "a::\n\\b");
    assert.equal(all("SEND", "1.1"), "a::\n\\b");
    assert.equal(all("SEND", "1.0"), value);
    assert.equal(all("CONNECT", "1.2"), value);
    assert.equal(all("CONNECTED", "1.2"), value);
    assert.equal(decode("STOMP\nh:\\c\\x\\\n\n\0")[0]![1]["h"], ":\\x\\");
    assert.equal(decode("SEND\nh:\\r\n\n\0", "1.1")[0]![1]["h"], "\r");
  });

  it("escapes - an unknown one is an error, also in a repeated header", () => {
    refused("SEND\na:\\t\n\n\0", /unknown escape '\\t'/);
    refused("SEND\na:\\\n\n\0", /unknown escape '\\'/);
    refused("SEND\n\\x:a\n\n\0", /unknown escape/);
    refused("SEND\na:b\na:\\t\n\n\0", /unknown escape/);
  });

  it("body - content-length counts in SEND, MESSAGE and ERROR only", () => {
    assert.deepEqual(decode("SEND\ncontent-length: 3 \n\na\0b\0"), [[
      "SEND",
      { "content-length": " 3 " },
      "a\0b",
    ]]);
    assert.deepEqual(decode("ACK\ncontent-length:3\nid:1\n\n\0ACK\nid:2\n\n\0").length, 2);
    assert.deepEqual(decode("SEND\ncontent-length:0\n\n\0")[0]![2], "");
  });

  it("body - a wrong length is an error", () => {
    refused("SEND\ncontent-length:2\n\nabc\0", /no NUL after the 2 bytes/);
    refused("SEND\ncontent-length:0\n\nabc\0", /no NUL after the 0 bytes/);
    refused("SEND\ncontent-length:-1\n\n", /not a number of bytes: '-1'/);
    refused("SEND\ncontent-length:1e1\n\n", /not a number/);
  });

  it("headers - lines without a colon, with a NUL or a carriage return are errors", () => {
    refused("SEND\nhello\n\n\0", /no colon: 'hello'/);
    refused("CONNECT\npasscode secret\n\n\0", /has no colon$/);
    refused("SEND\na:b\0", /an empty line must come before it/);
    refused("SEND\na:b\0\n", /an empty line must come before it/);
    refused("SEND\na:b\rc\n\n\0", /carriage return/);
  });

  it("limits - are checked before the data arrives", () => {
    refused("SEND\ncontent-length:101\n\n", /101 bytes: the limit is 100/, LimitError);
    refused(`SEND\ncontent-length:${"9".repeat(30)}\n\n`, /bytes: the limit is 100/, LimitError);
    refused(`SEND\n\n${"x".repeat(101)}`, /more than 100 bytes/, LimitError);
    refused(`SEND\n${"x".repeat(70_000)}`, /more than 65536 bytes/, LimitError);
    refused(`SEND\n${"a:b\n".repeat(1001)}`, /more than 1000 headers/, LimitError);
    refused(
      `SEND\n${`a:${"b".repeat(60_000)}\n`.repeat(5)}`,
      /headers .* more than 262144 bytes/,
      LimitError,
    );
  });

  it("other protocols - are recognized by their first bytes", () => {
    refused("GET / HTTP/1.1\r\nHost: x\r\n\r\n", /speaks HTTP/);
    refused("AMQP\0\0\x09\x01", /speaks AMQP/);
    refused("\x16\x03\x01\x02\0", /speaks TLS/);
    refused("\x10\x0c\0\x04MQTT", /begins with bytes 10/);
    refused("hello world\n", /begins with 'hello world'/);
    refused("x".repeat(40), /begins with 'xxx/);
  });

  it("text - bytes that are not UTF-8 survive", () => {
    const encoder = new StompEncoder();
    encoder.version = "1.2";
    const input = Uint8Array.from([...bytes("SEND\na:"), 0xff, 0xfe, 10, 10, 0, 10]);
    const decoder = new StompDecoder({
      onFrame: (frame) => encoder.frame(frame.command, frame.headers),
    }, { maxBody: 10 });
    decoder.version = "1.2";
    decoder.push(input);
    assert.deepEqual(encoder.out.take(), input);
  });
});

describe("STOMP encoder", () => {
  const encode = (version: StompVersion, command: string, headers: [string, string][], body?: string) => {
    const encoder = new StompEncoder();
    encoder.version = version;
    encoder.frame(command, headers, body === undefined ? undefined : bytes(body));
    return text(encoder.out.take());
  };

  it("frames - have the length of the body, and end in NUL and an end of line", () => {
    assert.equal(
      encode("1.2", "MESSAGE", [["a", "b"]], "hi\0"),
      "MESSAGE\na:b\ncontent-length:3\n\nhi\0\0\n",
    );
    assert.equal(encode("1.2", "RECEIPT", [["receipt-id", "1"]]), "RECEIPT\nreceipt-id:1\n\n\0\n");
  });

  it("escapes - by version; 1.0 escapes only what would break the frame", () => {
    const header: [string, string] = ["a:b", "c:\\\n\r\0"];
    assert.equal(encode("1.2", "MESSAGE", [header]), "MESSAGE\na\\cb:c\\c\\\\\\n\\r\n\n\0\n");
    assert.equal(encode("1.0", "MESSAGE", [header]), "MESSAGE\na\\cb:c:\\\\n\\r\n\n\0\n");
    assert.equal(encode("1.2", "CONNECTED", [["server", "x:1\\2\n"]]), "CONNECTED\nserver:x:1\\2\n\n\0\n");
  });

  it("escapes - the functions are inverse", () => {
    for (const version of ["1.1", "1.2"] as const) {
      const hard = "\\c:\\\\n\r\n\\";
      assert.equal(unescape(escape(hard, version, true), escapesOf("SEND", version)), hard);
    }
  });

  it("headers - a NUL is left out, whatever else is there", () => {
    for (const version of VERSIONS) {
      for (
        const [text, expected] of [["\0", ""], ["a\0b", "ab"], ["\0\n", "\\n"], ["plain", "plain"]] as const
      ) {
        for (const isName of [true, false]) assert.equal(escape(text, version, isName), expected);
      }
    }
  });

  it("headers - their limit counts each line with its end", () => {
    const push = (value: string) => {
      let frames = 0;
      const decoder = new StompDecoder({ onFrame: () => void frames++ }, { maxBody: 10, maxHead: 20 });
      decoder.push(new TextEncoder().encode(`SEND\na:12345678\nb:${value}\n\n\0`));
      return frames;
    };
    assert.equal(push("123456"), 1);
    assert.throws(() => push("1234567"), /have more than 20 bytes/);
  });
});
