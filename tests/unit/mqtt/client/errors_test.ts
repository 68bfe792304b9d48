/** What the reason codes of MQTT mean for a client. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UnreachableError } from "../../../../lib/errors.ts";
import {
  connackError,
  disconnectError,
  isPermanent,
  refusesVersion,
} from "../../../../lib/mqtt/client/errors.ts";
import { parseMqttUrl } from "../../../../lib/mqtt/client/url.ts";
import { MqttError } from "../../../../lib/mqtt/mqtt_error.ts";

const codes = Array.from({ length: 256 }, (_, code) => code);

describe("MQTT client: reason codes", () => {
  const address = (user: string) => parseMqttUrl(`mqtt://${user}host`).addresses[0]!;
  /** The codes for which the error says that another attempt may help. */
  const temporary = [
    0x80,
    0x83,
    0x88,
    0x89,
    0x8b,
    0x8d,
    0x93,
    0x96,
    0x97,
    0x98,
    0x9c,
    0x9f,
    0xa0,
  ];

  it("CONNACK - refused logins, client identifiers, temporary and other codes", () => {
    const kindOf = (version: 4 | 5, code: number) => {
      const error = connackError(version, code, undefined, address("me@"), "id");
      return error instanceof UnreachableError ? "later" : error.message.replace(/ \(.*\)$/, "");
    };
    const login = "Login refused for user 'me': wrong user or password, or the user may not log in";
    const id = "The server does not accept the client identifier 'id'";
    const other = "The server refused the connection";
    for (const code of codes.slice(0x80)) {
      const expected = [0x86, 0x87, 0x8a].includes(code)
        ? login
        : code === 0x85
        ? id
        : temporary.includes(code)
        ? "later"
        : other;
      assert.equal(kindOf(5, code), expected, `${code}`);
    }
    assert.deepEqual([1, 2, 3, 4, 5, 6, 0x7f].map((code) => kindOf(4, code)), [
      other,
      id,
      "later",
      login,
      login,
      other,
      other,
    ]);
    assert.deepEqual(codes.filter(refusesVersion), [1, 0x84]);
  });

  it("CONNACK - the words name the code, the reason and what is missing", () => {
    const words = (version: 4 | 5, code: number, reason?: string, user = "") =>
      connackError(version, code, reason, address(user), "id").message;
    assert.equal(
      words(4, 5),
      "Login refused, as the server requires a user and a password: mqtt://user:password@host (return code 5)",
    );
    assert.match(
      words(5, 0x87, "no", "me@"),
      /^Login refused for user 'me': .* \(0x87 \(not authorized\): no\)$/,
    );
    assert.equal(words(5, 0x88, ""), "The server refused the connection (0x88 (server unavailable))");
    assert.equal(words(5, 0xf0, "x"), "The server refused the connection (0xf0: x)");
  });

  it("DISCONNECT - temporary codes and those below 0x80 may help later, and a taken session is explained", () => {
    const later = codes.filter((code) => disconnectError(code, undefined) instanceof UnreachableError);
    assert.deepEqual(later, [...codes.slice(0, 0x80), ...temporary]);
    assert.equal(
      disconnectError(0x8b, "x").message,
      "The server closed the connection (0x8b (server shutting down): x)",
    );
    assert.equal(
      disconnectError(0x8e, "").message,
      "Another client connected with the same client identifier (0x8e (session taken over))",
    );
  });

  it("errors - temporary codes do not end a link", () => {
    assert.deepEqual(codes.filter((code) => !isPermanent(new MqttError(code, "x"))), temporary);
    assert.equal(isPermanent(new UnreachableError("x")), false);
  });
});
