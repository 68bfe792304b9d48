/** The definitions of a broker over several starts: ids that are used once, lost definitions, and failed writes. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { BrokerCore } from "../../../../lib/broker/core/broker_core.ts";
import { encodeMessage } from "../../../../lib/broker/core/message.ts";
import type { Queue } from "../../../../lib/broker/core/queue/queue.ts";
import { CORE_OPTIONS } from "../../../support/core_options.ts";
import { tempDir } from "../../../support/helpers.ts";
import { copyFiles } from "../../../support/journal_model.ts";

interface Opened {
  readonly core: BrokerCore;
  readonly problems: string[];
  /** The reasons for which it took no messages, and undefined each time it took messages again. */
  readonly blocked: (string | undefined)[];
}

function open(data: string): Opened {
  const problems: string[] = [];
  const blocked: (string | undefined)[] = [];
  const core = new BrokerCore({ ...CORE_OPTIONS, data }, {
    onBlocked: (reason) => blocked.push(reason),
    onFailure: assert.fail,
    onDamage: (what) => problems.push(what),
  });
  return { core, problems, blocked };
}

function declare(core: BrokerCore, queue: string, durable = true, vhost = "/"): Queue {
  const args = { queue, passive: false, durable, autoDelete: false, exclusive: false, arguments: {} };
  return core.vhosts.get(vhost)!.declareQueue(args, core as never);
}

/** Publishes messages whose body is the name of the queue. */
function publish(core: BrokerCore, { definition: { name, vhost } }: Queue, count: number): void {
  core.cycle.begin();
  for (let i = 0; i < count; i++) {
    const message = encodeMessage({ exchange: "", routingKey: name }, { deliveryMode: 2 }, bytes(name));
    assert.ok(core.intake.publishInternally(core.vhosts.get(vhost)!, "", name, message).taken);
  }
  core.cycle.end();
}

function consume(core: BrokerCore, queue: Queue, count: number): void {
  core.cycle.begin();
  for (let i = 0; i < count; i++) {
    assert.ok(queue.take());
    queue.settle(queue.takenLane, queue.takenSeq);
  }
  core.cycle.end();
}

const bytes = (text: string) => new TextEncoder().encode(text);

/** The bodies of each queue of the virtual host "/". */
function contents(core: BrokerCore): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const queue of core.vhosts.get("/")!.queues.values()) {
    const bodies: string[] = found[queue.name] = [];
    for (let seq = 0; (seq = queue.lanes[0]!.nextReady(seq)) >= 0; seq++) {
      const { body, bodyStart, bodyEnd } = queue.messageAt(0, seq)!;
      bodies.push(new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)));
    }
  }
  return found;
}

describe("catalog", () => {
  it("ids - no queue gets the id of another one, also of a deleted one, over stops and crashes", () => {
    using dir = tempDir();
    let data = dir.file("0");
    const ids: number[] = [];
    const expected: Record<string, string[]> = {};
    for (let round = 0; round < 6; round++) {
      const { core, problems } = open(data);
      assert.deepEqual([problems, contents(core)], [[], expected]);
      const name = `durable ${round}`;
      for (
        const queue of [declare(core, name), declare(core, "transient", false), declare(core, "deleted")]
      ) {
        ids.push(queue.definition.id);
        publish(core, queue, 1);
      }
      core.deleteQueue(core.vhosts.get("/")!.queues.get("deleted")!);
      // More than are reserved at a time.
      for (let i = 0; i < (round === 2 ? 1100 : 0); i++) {
        const queue = declare(core, "other", false);
        ids.push(queue.definition.id);
        core.deleteQueue(queue);
      }
      core.cycle.begin();
      core.cycle.end();
      expected[name] = [name];
      const next = dir.file(String(round + 1));
      if (round % 2 === 0) copyFiles(data, next);
      core.close();
      if (round % 2 > 0) fs.renameSync(data, next);
      data = next;
    }
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(ids.every((id) => id > 0));
  });

  it("ids - the only queue of a directory keeps its id for itself", () => {
    using dir = tempDir();
    const ids: number[] = [];
    for (let round = 0; round < 3; round++) {
      const { core } = open(dir.file("data"));
      const queue = declare(core, `${round}`);
      ids.push(queue.definition.id);
      publish(core, queue, 1);
      core.close();
    }
    assert.equal(new Set(ids).size, 3);
    const { core } = open(dir.file("data"));
    assert.deepEqual(contents(core), { 0: ["0"], 1: ["1"], 2: ["2"] });
    core.close();
  });

  it("lost definitions - a message of any priority is kept", () => {
    using dir = tempDir();
    const data = dir.file("data");
    const { core } = open(data);
    const vhost = core.vhosts.get("/")!;
    const flags = { passive: false, durable: true, autoDelete: false, exclusive: false };
    const args = { "x-max-priority": 255 };
    const { definition: { id } } = vhost.declareQueue(
      { ...flags, queue: "q", arguments: args },
      core as never,
    );
    core.cycle.begin();
    for (const priority of [0, 1, 254, 255]) {
      const address = { exchange: "", routingKey: "q" };
      const message = encodeMessage(address, { deliveryMode: 2, priority }, bytes("x"));
      assert.ok(core.intake.publishInternally(vhost, "", "q", message).taken);
    }
    core.cycle.end();
    core.close();
    fs.rmSync(`${data}/definitions`);
    const lost = open(data);
    const { lanes, ready } = lost.core.vhosts.get("/")!.queues.get(`recovered.${id}`)!;
    assert.equal(ready, 4);
    assert.deepEqual([...lanes.keys()].filter((at) => lanes[at]!.ready > 0), [0, 1, 254, 255]);
    lost.core.close();
  });

  it("lost definitions - a queue with one message stays, and one whose messages are settled does not", () => {
    using dir = tempDir();
    const data = dir.file("data");
    const first = open(data);
    const [none, one, two] = ["none", "one", "two"].map((name) => declare(first.core, name)) as [
      Queue,
      Queue,
      Queue,
    ];
    for (const queue of [none, one, two]) publish(first.core, queue, 2);
    consume(first.core, none, 2);
    consume(first.core, one, 1);
    copyFiles(data, dir.file("copy"));
    first.core.close();
    fs.rmSync(`${dir.file("copy")}/definitions`);
    const names = [one, two].map(({ definition: { id } }) => `recovered.${id}`);
    const expected = { [names[0]!]: ["one"], [names[1]!]: ["two", "two"] };
    const lost = open(dir.file("copy"));
    assert.deepEqual(contents(lost.core), expected);
    assert.deepEqual(lost.problems.filter((text) => text.startsWith("The definition of")), [
      `The definition of a queue is lost: its 1 messages are in the queue '${names[0]}' now`,
      `The definition of a queue is lost: its 2 messages are in the queue '${names[1]}' now`,
    ]);
    const { durable, exclusive, autoDelete } = lost.core.vhosts.get("/")!.queues.get(names[0]!)!.definition;
    assert.deepEqual([durable, exclusive, autoDelete], [true, false, false]);
    lost.core.close();
    // Their ids are not used again after another start.
    const again = open(dir.file("copy"));
    const next = declare(again.core, "next");
    assert.ok(next.definition.id > two.definition.id);
    publish(again.core, next, 1);
    assert.deepEqual(contents(again.core), { ...expected, next: ["next"] });
    again.core.close();
    const last = open(dir.file("copy"));
    assert.deepEqual(contents(last.core), { ...expected, next: ["next"] });
    last.core.close();
  });

  it("lost definitions - users stay lost when the file is rewritten later", () => {
    using dir = tempDir();
    const data = dir.file("data");
    const first = open(data);
    publish(first.core, declare(first.core, "q"), 1);
    first.core.close();
    fs.rmSync(`${data}/definitions`);
    const lost = open(data);
    assert.equal(lost.core.users.size, 0);
    failDefinitions(() => assert.throws(() => declare(lost.core, "new"), /no space/));
    lost.core.retryWrites();
    assert.equal(lost.core.catalog.writeError, undefined);
    lost.core.close();
    const again = open(data);
    assert.equal(again.core.users.size, 0);
    assert.match(again.problems.join(), /^The definitions of users are lost/);
    again.core.close();
  });

  it("a failed write - blocks publishers at once, until everything is written", () => {
    using dir = tempDir();
    const data = dir.file("data");
    const { core, blocked } = open(data);
    declare(core, "before");
    assert.deepEqual(blocked, []);
    failDefinitions(() => assert.throws(() => declare(core, "failed"), /no space/));
    assert.match(
      blocked.join(),
      /^the disk takes no more: Cannot write to the data directory ".*": no space/,
    );
    // The next change that succeeds writes all of them.
    declare(core, "after");
    assert.equal(blocked.length, 2);
    assert.equal(blocked[1], undefined);
    core.close();
    const again = open(data);
    assert.ok("before" in contents(again.core) && "after" in contents(again.core));
    again.core.close();
  });

  it("reports - name a queue with its virtual host, unless that is the default", () => {
    using dir = tempDir();
    const data = dir.file("data");
    const { core } = open(data);
    core.addVirtualHost("other");
    publish(core, declare(core, "here"), 2);
    publish(core, declare(core, "there", true, "other"), 3);
    core.close();
    fs.rmSync(`${data}/00000001.log`);
    const { core: again, problems } = open(data);
    assert.deepEqual(problems, [
      "The file 00000001.log is missing: 2 messages of queue 'here', 3 messages of queue 'there' in vhost 'other' are lost",
    ]);
    again.close();
  });
});

/** Lets writes of definitions fail. */
function failDefinitions(work: () => void): void {
  const { writeSync } = fs;
  Object.assign(fs, {
    writeSync: () => {
      throw new Error("no space");
    },
  });
  try {
    work();
  } finally {
    Object.assign(fs, { writeSync });
  }
}
