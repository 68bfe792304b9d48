/** A broker on a full disk: a small tmpfs, which only root can mount. It must not confirm data that is not on disk. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { describe, it } from "node:test";
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../../lib/amqp/client/link.ts";
import { Publisher } from "../../../lib/amqp/client/publisher.ts";
import { declareQueue } from "../../../lib/amqp/client/queues.ts";
import { parseAmqpUrl } from "../../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../../lib/amqp/properties.ts";
import { Broker } from "../../../lib/broker/server.ts";
import { type TempDir, tempDir, waitFor } from "../../support/helpers.ts";
import { copyFiles } from "../../support/journal_model.ts";

const PERSISTENT = encodeProperties({ deliveryMode: 2 });
const BODY = new TextEncoder().encode("precious");

/** A broker on a disk of 256 KB. `fill` fills the disk to the last byte, `clear` frees it. */
class SmallDisk {
  readonly blocked: (string | undefined)[] = [];
  broker!: Broker;
  url = "";
  readonly #folder: TempDir = tempDir();
  readonly data = this.#folder.file("disk");

  /** Returns undefined if this user cannot mount. */
  static mount(): SmallDisk | undefined {
    const disk = new SmallDisk();
    fs.mkdirSync(disk.data);
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk.data]);
    if (status === 0) return disk;
    disk.#folder.remove();
    return undefined;
  }

  async open(): Promise<this> {
    const onEvent = (event: { type: string; reason?: string | undefined }) => {
      if (event.type === "blocked") this.blocked.push(event.reason);
    };
    this.broker = await Broker.open({ data: this.data, onEvent });
    this.url = await this.broker.listen("amqp://127.0.0.1:0");
    return this;
  }

  connect(): Promise<AmqpConnection> {
    return connectBroker(parseAmqpUrl(this.url));
  }

  /** Returns the number of messages in the queue after a crash now; undefined if the queue does not exist. */
  async afterCrash(queue: string): Promise<number | undefined> {
    const copy = this.#folder.file("copy");
    copyFiles(this.data, copy);
    const broker = await Broker.open({ data: copy });
    const ready = broker.vhosts.get("/")!.queues.get(queue)?.ready;
    await broker.close();
    return ready;
  }

  /** Fills the disk. */
  fill(): void {
    fs.writeFileSync(`${this.data}/filler`, "");
    for (let size = 64 * 1024; size > 0;) {
      try {
        fs.appendFileSync(`${this.data}/filler`, new Uint8Array(size));
      } catch {
        size >>= 1;
      }
    }
    const { size } = fs.statSync(`${this.data}/filler`);
    assert.ok(size > 0, "nothing was left to fill");
  }

  clear(): void {
    fs.rmSync(`${this.data}/filler`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.close();
    spawnSync("umount", ["-l", this.data]);
    this.#folder.remove();
  }
}

const allowed = (() => {
  const disk = SmallDisk.mount();
  if (disk === undefined) return false;
  spawnSync("umount", ["-l", disk.data]);
  return true;
})();
if (!allowed) console.log("disk full skipped: mounting a tmpfs takes root");

describe("broker, disk full", { skip: !allowed }, () => {
  it("disk full - a queue definition is written before messages in the queue are confirmed", async () => {
    await using disk = await SmallDisk.mount()!.open();
    disk.fill();
    let declared: string | undefined;
    // The last block of the file may have space for some.
    for (let i = 0; declared === undefined; i++) {
      const connection = await disk.connect();
      const name = `q${i}-`.padEnd(200, "x");
      try {
        await declareQueue(connection, name, {});
      } catch (error) {
        assert.match((error as Error).message, /Cannot write to the data directory ".*": the disk is full/);
        declared = name;
      }
      await connection.close();
    }
    assert.match(
      disk.blocked.at(-1)!,
      /^the disk takes no more: .* is full \(ENOSPC\); the broker continues/,
    );
    assert.equal(await disk.afterCrash(declared), undefined);

    const bodies = { bytes: BODY, starts: [0], ends: [BODY.length] };
    const envelope = { exchange: "", routingKey: declared, properties: PERSISTENT };
    const publisher = new Publisher(parseAmqpUrl(disk.url), {
      // The queue now exists for clients.
      prepare: async (connection) => void await declareQueue(connection, declared, {}),
    });
    await publisher.start();
    publisher.publish(bodies, 0, 1, envelope);
    while (publisher.pending > 0) await publisher.changed.wait();
    assert.deepEqual([publisher.acknowledged, publisher.refused], [0, 1]);
    assert.match(publisher.refusalReason, /^the disk takes no more: .* is full \(ENOSPC\)/);

    disk.clear();
    // The broker refuses until it notices the free space.
    await waitFor(
      async () => {
        publisher.publish(bodies, 0, 1, envelope);
        while (publisher.pending > 0) await publisher.changed.wait();
        return publisher.acknowledged > 0;
      },
      undefined,
      "a confirm",
    );
    assert.equal(await disk.afterCrash(declared), publisher.acknowledged);
    assert.equal(disk.blocked.at(-1), undefined);
    await publisher.close();
  });

  it("disk full - a commit is answered only after its messages are on disk", async () => {
    await using disk = await SmallDisk.mount()!.open();
    const connection = await disk.connect();
    await declareQueue(connection, "q", {});
    const channel = await connection.open({});
    await channel.call("tx.select", {}, "tx.select-ok");
    disk.fill();
    let commits = 0;
    const body = new Uint8Array(64 * 1024);
    connection.encoder.publish(channel.id, "", "q", true, PERSISTENT, body, 0, body.length);
    const committed = channel.call("tx.commit", {}, "tx.commit-ok").then(() => commits++);
    await waitFor(() => disk.blocked.length > 0, undefined, "a full disk");
    // A later method on the same connection is answered, so only the commit waits.
    const other = await connection.open({});
    await other.call("queue.declare", { queue: "q", passive: true }, "queue.declare-ok");
    assert.equal(commits, 0);
    assert.equal(await disk.afterCrash("q"), 0);
    disk.clear();
    await committed;
    assert.equal(await disk.afterCrash("q"), 1);
    await connection.close();
  });
});
