/** The base of receivers: what is paused stays so on the next connection. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LinkedReceiver, type ReceivingConnection } from "../../../lib/link/linked_receiver.ts";
import type { Protocol } from "../../../lib/link/protocol.ts";
import { waitFor } from "../../support/helpers.ts";
import { type FakeAddress, fakeAddress, FakeConnection, PERMANENT, TEMPORARY } from "./fake_protocol.ts";

/** A connection that records the calls of its methods. */
class NotedConnection extends FakeConnection implements ReceivingConnection {
  readonly told: string[] = [];
  flush(): void {
    this.told.push("flush");
  }
  pause(): void {
    this.told.push("pause");
  }
  resume(): void {
    this.told.push("resume");
  }
}

class Receiver extends LinkedReceiver<FakeAddress, NotedConnection> {
  downs = 0;
  protected onUp(connection: NotedConnection): Promise<void> {
    this.connection = connection;
    this.generation++;
    connection.told.push("up");
    return Promise.resolve();
  }
  protected override onDown(): void {
    this.downs++;
  }
}

/** A receiver, and its connections so far. */
function receiver() {
  const connections: NotedConnection[] = [];
  const protocol: Protocol<FakeAddress, NotedConnection> = {
    format: ({ name }) => `fake://${name}`,
    isPermanent: (error) => error === PERMANENT,
    login: () => {
      connections.push(new NotedConnection());
      return Promise.resolve(connections.at(-1)!);
    },
  };
  return {
    connections,
    made: new Receiver(protocol, [fakeAddress("host")], { reconnect: { first: 1, longest: 4 } }),
  };
}

describe("linked receiver", () => {
  it("pause - holds for later connections, until it is resumed", async () => {
    const { made, connections } = receiver();
    made.flush();
    made.pause();
    await made.start();
    assert.deepEqual([connections[0]!.told, made.broker, made.generation], [
      ["up", "pause"],
      "fake://host",
      1,
    ]);
    made.abort(TEMPORARY);
    await waitFor(() => made.generation === 2);
    await waitFor(() => connections[1]!.told.length === 2);
    made.flush();
    made.resume();
    assert.deepEqual(connections[1]!.told, ["up", "pause", "flush", "resume"]);
    made.abort(TEMPORARY);
    await waitFor(() => made.generation === 3);
    await new Promise((resolve) => setTimeout(resolve)); // The connection is set up by then.
    assert.deepEqual(connections[2]!.told, ["up"]);
    made.pause();
    made.abort(PERMANENT);
    await waitFor(() => made.failure !== undefined);
    assert.deepEqual([made.failure, made.downs], [PERMANENT, 3]);
    // There is no connection any more.
    made.resume();
    made.flush();
    assert.deepEqual(connections[2]!.told, ["up", "pause"]);
    await made.close();
  });
});
