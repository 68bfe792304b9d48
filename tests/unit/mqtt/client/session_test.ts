/** The session that an MQTT client asks for. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Session, type SessionOptions } from "../../../../lib/mqtt/client/session.ts";

describe("MQTT client: session", () => {
  it("session - what the first connection asks for, in each version", () => {
    const forever = 0xffff_ffff;
    const cases: [options: SessionOptions, own: number | undefined, expected: unknown[]][] = [
      // Whether it is kept; the expiry in 5 and in 4; whether the first one is clean in 5 and in 4, and a later one in 5.
      [{}, undefined, [false, 0, 0, true, true, true]],
      [{ sessionExpiry: 60 }, undefined, [false, 60, 0, true, true, false]],
      [{ clientId: "me" }, undefined, [false, 0, 0, true, true, true]],
      [{ clientId: "me", sessionExpiry: 1 }, undefined, [true, 1, 1, false, false, false]],
      [{ clientId: "me", sessionExpiry: forever }, undefined, [true, forever, forever, false, false, false]],
      [{ clientId: "me", sessionExpiry: 60 }, 3600, [false, 3600, 0, true, true, false]],
      [{ clientId: "me", sessionExpiry: 60 }, 0, [false, 0, 0, true, true, true]],
    ];
    for (const [options, own, expected] of cases) {
      const session = new Session(options, own);
      const first = [
        session.isKept,
        session.expiryIn(5),
        session.expiryIn(4),
        session.isCleanIn(5),
        session.isCleanIn(4),
      ];
      session.fresh = false;
      assert.deepEqual([...first, session.isCleanIn(5)], expected, JSON.stringify(options));
    }
  });

  it("session - defaults, and what is given", () => {
    const { keepAlive, receiveMaximum, versions, clientId } = new Session({});
    assert.deepEqual([keepAlive, receiveMaximum, versions], [30, 1000, [5, 4]]);
    assert.match(clientId, /^mqcat[0-9a-f]{16}$/);
    const given = new Session({ keepAlive: 0, receiveMaximum: 1, version: 4, clientId: "" });
    assert.deepEqual([given.keepAlive, given.receiveMaximum, given.versions, given.clientId], [
      0,
      1,
      [4],
      "",
    ]);
  });
});
