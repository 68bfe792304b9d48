/** NULL with peers of other mechanisms: both sides report the mismatch, and nothing is sent in clear text by mistake. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  curveClient,
  curveServer,
  generateKeyPair,
  IncompatiblePeerError,
  type Mechanism,
  nullMechanism,
  plainClient,
  plainServer,
  Pull,
  Push,
} from "../../../../mod.ts";
import { handshake } from "../../../../lib/zmtp/handshake.ts";
import { deadline } from "../../../support/helpers.ts";
import { scoped, SocketLog, texts } from "../../../support/sockets.ts";
import {
  failure,
  greeting3,
  PULL,
  ready,
  ScriptedStream,
  SIGNATURE_BYTES,
} from "../../../support/scripted_stream.ts";

const TCP = "tcp://127.0.0.1:0";
const pair = await generateKeyPair();
const letAllIn = { handler: () => ({ status: 200 as const }) };

/** Every mechanism in every role. */
const SIDES: Record<string, () => Mechanism> = {
  NULL: () => nullMechanism(),
  "PLAIN client": () => plainClient("me", "secret"),
  "PLAIN server": () => plainServer(letAllIn),
  "CURVE client": () => curveClient({ serverKey: pair.publicKey }),
  "CURVE server": () => curveServer({ keyPair: pair }),
};

function fit(one: string, other: string): boolean {
  return one === other ? one === "NULL" : one.split(" ")[0] === other.split(" ")[0];
}

describe("security_null", () => {
  it("null - is the default mechanism", async () => {
    await using pull = scoped(new Pull({ security: nullMechanism() }));
    await using push = scoped(new Push());
    push.connect(await pull.bind(TCP));
    await push.send("in the clear");
    assert.deepEqual(texts(await deadline(pull.receive())), ["in the clear"]);
  });

  for (const ours of Object.keys(SIDES)) {
    for (
      const theirs of Object.keys(SIDES).filter((theirs) =>
        fit(ours, theirs) === (ours === theirs && ours !== "NULL")
      )
    ) {
      it(`mismatch - ${ours} that connects to ${theirs} fails, and both sides report why`, async () => {
        const [here, there] = [new SocketLog(), new SocketLog()];
        await using push = scoped(new Push({ security: SIDES[ours]!(), onEvent: here.onEvent }));
        await using pull = scoped(new Pull({ security: SIDES[theirs]!(), onEvent: there.onEvent }));
        push.connect(await pull.bind(TCP));
        const [near, far] = await Promise.all([
          here.until("handshake-failed"),
          there.until("handshake-failed"),
        ]);
        await assert.rejects(deadline(push.send("never")), (error) => error === near.error);
        const said = `${near.error.message}\n${far.error.message}`;
        if (ours.split(" ")[0] === theirs.split(" ")[0]) {
          assert.match(said, /both sides are|sent HELLO where WELCOME/);
        } else assert.match(said, /the peer uses \w+ security, and this side uses \w+\n.*the peer uses/);
        assert.deepEqual([...here.of("connected"), ...there.of("connected")], []);
        assert.deepEqual(here.of("retrying"), []);
      });
    }
  }

  it("downgrade - rejects a ZMTP 2.0 peer, which has no security, if security is required", async () => {
    for (const side of ["PLAIN client", "PLAIN server", "CURVE client", "CURVE server"]) {
      const security = SIDES[side]!();
      const old = Uint8Array.of(...SIGNATURE_BYTES, 1, 8, 0, 0);
      const stream = await failure(old, IncompatiblePeerError, /ZMTP 2\.0, which has no security/, {
        ...PULL,
        security,
      });
      assert.equal(stream.sent.length, 11, "more than the version was sent");
    }
  });

  it("downgrade - CURVE and PLAIN sockets reject a greeting with NULL", async () => {
    for (const side of ["PLAIN client", "PLAIN server", "CURVE client", "CURVE server"]) {
      const security = SIDES[side]!();
      const bytes = Uint8Array.of(...greeting3(), ...ready("PUSH"));
      const stream = await failure(bytes, IncompatiblePeerError, /the peer uses NULL security/, {
        ...PULL,
        security,
      });
      assert.equal(stream.sent.length, 64, "more than the greeting was sent");
    }
  });

  it("greeting - contains the mechanism and the role", async () => {
    for (const [side, create] of Object.entries(SIDES)) {
      const stream = new ScriptedStream();
      const shaking = handshake(stream, { ...PULL, security: create() });
      stream.feed(greeting3().subarray(0, 12));
      const [mechanism, role] = side.split(" ");
      assert.deepEqual(await stream.untilSent(64), greeting3(1, mechanism, role === "server" ? 1 : 0));
      stream.close();
      await assert.rejects(shaking);
    }
  });
});
