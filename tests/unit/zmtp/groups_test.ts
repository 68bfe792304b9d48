/** The commands of a DISH are no messages. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { concat, utf8 } from "../../../lib/zmtp/bytes.ts";
import { type ConnectionOwner, ZmtpConnection } from "../../../lib/zmtp/connection.ts";
import { handshake } from "../../../lib/zmtp/handshake.ts";
import { resolveHeartbeat } from "../../../lib/zmtp/heartbeat.ts";
import { deadline } from "../../support/helpers.ts";
import { greeting3, PULL, ready, ScriptedStream } from "../../support/scripted_stream.ts";

describe("groups", () => {
  it("JOIN, LEAVE, SUBSCRIBE and CANCEL are not counted as messages", async () => {
    for (const [own, other] of [["DISH", "RADIO"], ["SUB", "PUB"]] as const) {
      const stream = new ScriptedStream();
      const handshaking = handshake(stream, { ...PULL, socketType: own });
      stream.feed(concat([greeting3(), ready(other)]));
      const result = await deadline(handshaking);
      const owner: ConnectionOwner = { onBatch() {}, onSubscription() {}, onGroup() {}, onWritable() {} };
      const limits = { messages: 1000, bytes: Infinity };
      const connection = new ZmtpConnection(stream, result, owner, limits, 1000, resolveHeartbeat());
      connection.start();
      const topics = [utf8("a"), utf8("b")];
      for (const begins of [true, false]) {
        if (own === "DISH") connection.sendGroups(topics, begins);
        else connection.sendSubscriptions(topics, begins);
        assert.equal(connection.outbox.unsent, 0);
      }
      stream.close();
    }
  });
});
