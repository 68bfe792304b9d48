/** The side under test in a handshake of CURVE, and the handshakes of both roles. */
import assert from "node:assert/strict";
import { handshake, type HandshakeResult } from "../../../../lib/zmtp/handshake.ts";
import type { Mechanism } from "../../../../lib/zmtp/mechanisms/mechanism.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { bodies, CurveClientPeer, CurveServerPeer, newPair } from "./curve_peer.ts";
import { greeting3, ScriptedStream } from "../../../support/scripted_stream.ts";

export const SERVER = newPair();

/** The side under test in a handshake, and the frames that it sent after its greeting. */
export class Handshaking {
  readonly stream = new ScriptedStream();
  readonly result: Promise<HandshakeResult>;
  readonly #taken = { frames: 0 };

  constructor(security: Mechanism, socketType: "PULL" | "PUSH" | "PUB" = "PULL", dialed = false) {
    this.result = handshake(this.stream, { socketType, security, dialed, timeout: 5000 });
    this.result.catch(() => {});
    this.stream.feed(greeting3(1, "CURVE"));
  }

  /** Waits for the next frame that it sends, and returns its body. */
  async next(): Promise<Uint8Array> {
    const index = this.#taken.frames++;
    let found: Uint8Array | undefined;
    await waitFor(
      () => {
        try {
          found = bodies(this.stream.sent.subarray(64))[index];
        } catch {
          // The last frame is not complete yet.
        }
        return found !== undefined;
      },
      5000,
      `frame ${index + 1}`,
    );
    return found!;
  }

  async fails(kind: new (...args: never[]) => Error, words: RegExp): Promise<void> {
    await assert.rejects(deadline(this.result), (error: unknown) => {
      assert.ok(error instanceof kind, String(error));
      assert.match(error.message, words);
      return true;
    });
  }
}

/** Runs the handshake with a scripted client. */
export async function asClient(handshaking: Handshaking, peer: CurveClientPeer, type: string): Promise<void> {
  handshaking.stream.feed(peer.hello());
  peer.welcome(await handshaking.next());
  handshaking.stream.feed(peer.initiate(type));
}

/** Runs the handshake with a scripted server. */
export async function asServer(handshaking: Handshaking, peer: CurveServerPeer, type: string): Promise<void> {
  peer.hello(await handshaking.next());
  handshaking.stream.feed(peer.welcome());
  peer.initiate(await handshaking.next());
  handshaking.stream.feed(peer.ready(type));
}
