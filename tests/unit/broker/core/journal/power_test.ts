/** Messages that replace others, and power failures: at least one of the two is on disk at any moment. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { encodeMessage } from "../../../../../lib/broker/core/message.ts";
import { Journal } from "../../../../../lib/broker/core/journal/journal.ts";
import { Lane } from "../../../../../lib/broker/core/queue/lane.ts";
import type { Queue } from "../../../../../lib/broker/core/queue/queue.ts";
import { Broker } from "../../../../../lib/broker/server.ts";
import { type TempDir, tempDir, waitFor } from "../../../../support/helpers.ts";
import { copyFiles, JournalModel, QUEUES } from "../../../../support/journal_model.ts";
import { PowerFailure } from "../../../../support/power_failure.ts";

const [A, B] = QUEUES as [number, number];
const BODY = "body ".padEnd(100, "x");

/** A journal with small segments, and 100 synced messages in the queue A. */
async function filled(directory: string): Promise<JournalModel> {
  const model = new JournalModel({ directory, sync: "confirm", segmentSize: 1024, garbageSize: 1e9 });
  for (let i = 0; i < 100; i++) model.publish(`${i} ${BODY}`, [A]);
  model.flush();
  await waitFor(() => model.journal.syncedPosition === model.journal.position);
  return model;
}

/** The numbers of the messages in the queues A and B of a directory. */
function stored(directory: string): { a: number[]; b: number[] } {
  const model = new JournalModel({ directory, sync: "flush" });
  const [a, b] = [A, B].map((id) => {
    const lane = model.lanes.get(id)!;
    const found: number[] = [];
    for (let seq = 0; (seq = lane.nextLive(seq)) >= 0; seq++) found.push(parseInt(model.bodyAt(id, seq)!));
    return found;
  });
  model.journal.close();
  return { a: a!, b: b! };
}

const ALL = Array.from({ length: 100 }, (_, i) => i);

function checkAll({ a, b }: { a: number[]; b: number[] }): void {
  assert.deepEqual([...new Set([...a, ...b])].sort((x, y) => x - y), ALL);
}

describe("journal, power failure", () => {
  it("journal - acknowledges a replaced message, and deletes its segment, when the replacement is synced", async () => {
    using folder = tempDir();
    using power = new PowerFailure();
    const model = await filled(folder.file("data"));
    const logs = () => fs.readdirSync(folder.file("data")).filter((name) => name.endsWith(".log")).length;
    const before = logs();
    for (let seq = 0; seq < 100; seq++) model.replace(A, seq, B);
    // One acknowledgement that depends on nothing is not held.
    model.publish("ready", [QUEUES[2]!]);
    model.settle(QUEUES[2]!, 0);
    model.flush();
    power.copy(folder.file("data"), folder.file("unsynced"));
    checkAll(stored(folder.file("unsynced")));
    assert.ok(logs() > before);
    await waitFor(() => model.journal.syncedPosition === model.journal.position);
    power.copy(folder.file("data"), folder.file("synced"));
    assert.deepEqual(stored(folder.file("synced")), { a: [], b: ALL });
    assert.ok(logs() <= before + 2, `${logs()} logs, ${before} before`);
    model.restart();
    model.journal.close();
  });

  it("journal - a start after kill -9 syncs replacements before it acknowledges the originals", async () => {
    using folder = tempDir();
    using power = new PowerFailure();
    const model = await filled(folder.file("data"));
    for (let seq = 0; seq < 100; seq++) model.replace(A, seq, B);
    model.flush();
    power.copyKilled(folder.file("data"), folder.file("killed"));
    model.journal.close();
    const again = new JournalModel({ directory: folder.file("killed"), sync: "confirm", segmentSize: 1024 });
    again.flush();
    power.copy(folder.file("killed"), folder.file("failed"));
    again.journal.close();
    checkAll(stored(folder.file("failed")));
  });

  it("journal - after kill -9 exactly the replacement is there, also if it was acknowledged", async () => {
    using folder = tempDir();
    using power = new PowerFailure();
    const model = await filled(folder.file("data"));
    for (let seq = 0; seq < 100; seq++) model.replace(A, seq, B);
    model.flush();
    for (let seq = 0; seq < 50; seq++) model.settle(B, seq);
    model.flush();
    power.copyKilled(folder.file("data"), folder.file("killed"));
    model.journal.close();
    assert.deepEqual(stored(folder.file("killed")), { a: [], b: ALL.slice(50) });
  });

  it("journal - a start acknowledges what was replaced, also beside a deleted queue and without the original", async () => {
    using folder = tempDir();
    using power = new PowerFailure();
    const [, , C] = QUEUES as [number, number, number];
    // Two messages take a segment.
    const model = new JournalModel({ directory: folder.file("data"), sync: "confirm", segmentSize: 1024 });
    for (const id of [A, B]) model.publish("x".repeat(400), [id]);
    model.flush();
    await waitFor(() => model.journal.syncedPosition === model.journal.position);
    power.hold();
    for (const id of [A, B]) model.replace(id, 0, C);
    assert.deepEqual([0, 1].map((seq) => model.lanes.get(C)!.segmentAt(seq)), [2, 2]);
    model.flush();
    for (const copy of ["whole", "without"]) copyFiles(folder.file("data"), folder.file(copy));
    power.release();
    model.journal.close();
    fs.rmSync(`${folder.file("without")}/00000001.log`);
    for (const copy of ["whole", "without"]) {
      const lanes = new Map([B, C].map((id) => [id, new Lane()]));
      const lane = (id: number, number: number) => number === 3 ? lanes.get(id) : undefined;
      const journal = Journal.open({ directory: folder.file(copy), sync: "flush" }, { lane });
      const found = [B, C].map((id) => [lanes.get(id)!.ready, lanes.get(id)!.nextSeq]);
      assert.deepEqual(found, [[0, 1], [2, 2]], copy);
      journal.close();
    }
  });

  it("journal - copies that fill two segments are on disk before their original is deleted, sync flush", async () => {
    for (let room = 90; room <= 270; room += 20) {
      using folder = tempDir();
      using power = new PowerFailure();
      const directory = folder.file("data");
      const model = new JournalModel({
        directory,
        sync: "flush",
        segmentSize: 4096,
        cacheSize: 0,
        garbageSize: 2000,
      });
      const lane = model.lanes.get(A)!;
      // A record takes 46 bytes more than its body. The first segment is full, the second one has some room left.
      for (let i = 0; i < 42; i++) model.publish(`${i}`.padEnd(50, "x"), [A]);
      model.publish("x".repeat(4048 - 46 - room), [B]);
      assert.deepEqual([0, 41].map((seq) => lane.segmentAt(seq)), [1, 1]);
      assert.equal(model.lanes.get(B)!.segmentAt(0), 2);
      const kept = [38, 39, 40, 41];
      for (let seq = 0; seq < 38; seq++) model.settle(A, seq);
      await waitFor(() => {
        model.flush();
        return !fs.existsSync(`${directory}/00000001.log`);
      });
      power.copy(directory, folder.file("failed"));
      model.check();
      model.journal.close();
      assert.deepEqual(stored(folder.file("failed")).a, kept, `${room} bytes of room`);
    }
  });

  for (const what of ["dead letter", "delayed message"] as const) {
    it(`broker - a ${what} is on disk before its original is acknowledged`, async () => {
      using folder = tempDir();
      using power = new PowerFailure();
      const broker = await Broker.open({ data: folder.file("data") });
      const delayed = what === "delayed message";
      publish(broker, delayed);
      await waitFor(() => broker.core.safePosition === broker.core.journal.position);
      power.hold();
      const { cycle, journal } = broker.core;
      const before = journal.position;
      if (delayed) await waitFor(() => journal.position > before, 5000, "the due time");
      else {
        const queue = broker.vhosts.get("/")!.queues.get("work")!;
        cycle.begin();
        assert.ok(queue.take());
        queue.reject(queue.takenLane, queue.takenSeq);
        cycle.end();
      }
      assert.ok(broker.core.safePosition < journal.position);
      power.copy(folder.file("data"), folder.file("failed"));
      power.release();
      await broker.close();
      assert.deepEqual(await storedIn(folder, "data"), { end: ["body"] });
      assert.deepEqual(Object.values(await storedIn(folder, "failed")), [["body"]]);
    });
  }
});

/** Declares the queues, and publishes a message to be rejected or to be delayed. */
function publish({ core, vhosts }: Broker, delayed: boolean): void {
  const vhost = vhosts.get("/")!;
  core.cycle.begin();
  const durable = { passive: false, durable: true, autoDelete: false };
  for (
    const [queue, args] of [["work", { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "end" }], [
      "end",
      {},
    ]] as const
  ) {
    vhost.declareQueue({ ...durable, queue, exclusive: false, arguments: args }, core);
  }
  const type = { "x-delayed-type": "fanout" };
  vhost.declareExchange({
    ...durable,
    exchange: "later",
    type: "x-delayed-message",
    internal: false,
    arguments: type,
  });
  vhost.bindQueue({ queue: "end", exchange: "later", routingKey: "", arguments: {} }, core);
  const properties = { deliveryMode: 2, ...(delayed ? { headers: { "x-delay": 700 } } : {}) };
  const address = delayed ? { exchange: "later", routingKey: "" } : { exchange: "", routingKey: "work" };
  const message = encodeMessage(address, properties, new TextEncoder().encode("body"));
  assert.ok(core.intake.publishInternally(vhost, address.exchange, address.routingKey, message).taken);
  core.cycle.end();
}

/** The bodies in the queues of a data directory. */
async function storedIn(folder: TempDir, name: string): Promise<Record<string, string[]>> {
  const broker = await Broker.open({ data: folder.file(name) });
  const found: Record<string, string[]> = {};
  for (const queue of broker.core.catalog.queues.values()) {
    const bodies = bodiesOf(queue);
    if (bodies.length > 0) found[queue.name] = bodies;
  }
  await broker.close();
  return found;
}

function bodiesOf(queue: Queue): string[] {
  const bodies: string[] = [];
  for (let seq = 0; (seq = queue.lanes[0]!.nextReady(seq)) >= 0; seq++) {
    const { body, bodyStart, bodyEnd } = queue.messageAt(0, seq)!;
    bodies.push(new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)));
  }
  return bodies;
}
