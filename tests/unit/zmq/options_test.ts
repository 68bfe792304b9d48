/** The options of sockets: the defaults that their documentation promises, and their ranges. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { utf8 } from "../../../lib/zmtp/bytes.ts";
import type { SocketEvent } from "../../../lib/zmq/events.ts";
import {
  checkIdentity,
  resolveOptions,
  type SocketOptions,
  transportOptions,
} from "../../../lib/zmq/options.ts";

describe("options", () => {
  it("defaults - are those of the documentation", () => {
    const { security, onEvent, ...rest } = resolveOptions({});
    assert.equal(security.name, "NULL");
    assert.equal(onEvent({ type: "listening", endpoint: "" }), undefined);
    assert.deepEqual(rest, {
      hwm: 1000,
      hwmBytes: 8 * 1024 * 1024,
      maxMessageSize: 1024 * 1024 * 1024,
      handshakeTimeout: 30_000,
      reconnect: { first: 100, longest: 2000 },
      maxPeers: 10_000,
      identity: new Uint8Array(0),
      heartbeat: { interval: 0, timeout: 0, ttl: 0 },
      conflate: false,
      tls: {},
      origins: [],
    });
  });

  it("ranges - their ends are accepted, and what is beyond them is not", () => {
    const most = 2 ** 31 - 1;
    const right: SocketOptions[] = [
      { hwm: 1 },
      { hwm: Infinity },
      { hwmBytes: 1 },
      { maxMessageSize: 1 },
      { maxMessageSize: 2 ** 30 },
      { handshakeTimeout: 1 },
      { handshakeTimeout: most },
      { maxPeers: 1 },
      { reconnect: { first: 1, longest: 1 } },
      { reconnect: { first: most, longest: most } },
    ];
    for (const options of right) {
      const resolved = resolveOptions(options);
      const [[name, value]] = Object.entries(options) as [[keyof SocketOptions, unknown]];
      assert.deepEqual(resolved[name], value);
    }
    const wrong: SocketOptions[] = [
      { hwm: 0.9 },
      { hwm: NaN },
      { hwmBytes: 0 },
      { maxMessageSize: 0 },
      { maxMessageSize: 2 ** 30 + 1 },
      { handshakeTimeout: 0 },
      { handshakeTimeout: most + 1 },
      { maxPeers: 0 },
      { reconnect: { first: 0.9, longest: 1 } },
      { reconnect: { first: 2, longest: 1 } },
      { reconnect: { first: 1, longest: most + 1 } },
      { reconnect: { first: NaN, longest: 5 } },
    ];
    for (const options of wrong) {
      assert.throws(() => resolveOptions(options), RangeError, JSON.stringify(options));
    }
  });

  it("identity - has 1 to 255 bytes, of which the first is not 00", () => {
    for (const id of ["a", "é", "x".repeat(255), "a\0"]) {
      assert.deepEqual(checkIdentity(id), utf8(id));
      assert.deepEqual(checkIdentity(utf8(id)), utf8(id));
    }
    for (const id of ["", "\0", "\0a", "x".repeat(256), "é".repeat(128)]) {
      assert.throws(() => checkIdentity(id), RangeError);
    }
    const own = utf8("own");
    const kept = checkIdentity(own);
    own.fill(0);
    assert.deepEqual(kept, utf8("own"));
  });

  it("transport - a connection that it refuses is reported as a handshake that failed, not dialed", () => {
    const events: SocketEvent[] = [];
    const options = resolveOptions({
      onEvent: (event) => void events.push(event),
      maxMessageSize: 5,
      origins: ["*"],
    });
    const { web, onRefused } = transportOptions(options);
    assert.deepEqual(web, { protocols: ["ZWS2.0/NULL", "ZWS2.0"], maxMessage: 5, origins: ["*"] });
    const error = new Error("no");
    onRefused!("ws://there", error);
    assert.deepEqual(events, [{ type: "handshake-failed", endpoint: "ws://there", error, dialed: false }]);
  });
});
