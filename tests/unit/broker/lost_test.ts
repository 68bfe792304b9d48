/** Lost definitions: messages are kept although the definition of their queue is lost. */
import type { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { Broker } from "../../../lib/broker/server.ts";
import { encodeMessage } from "../../../lib/broker/core/message.ts";
import type { Queue } from "../../../lib/broker/core/queue/queue.ts";
import { tempDir, waitFor } from "../../support/helpers.ts";

const DURABLE = { passive: false, durable: true, autoDelete: false, exclusive: false, arguments: {} };

/** Makes the data of a broker with three messages in each of the queues; the first message was consumed. */
async function filled(data: string, ...names: string[]): Promise<void> {
  const broker = await Broker.open({ data });
  const vhost = broker.vhosts.get("/")!;
  broker.core.cycle.begin();
  for (const name of names) {
    const queue = vhost.declareQueue({ ...DURABLE, queue: name }, broker);
    for (const body of ["a", "b", "c"]) {
      const route = { exchange: "", routingKey: name };
      const message = encodeMessage(
        route,
        { deliveryMode: 2 },
        new TextEncoder().encode(`${body} of ${name}`),
      );
      assert.ok(broker.core.intake.publishInternally(vhost, "", name, message).taken);
    }
    assert.ok(queue.take());
    queue.settle(queue.takenLane, queue.takenSeq);
  }
  broker.core.cycle.end();
  await broker.close();
}

function bodies(queue: Queue): string[] {
  const found: string[] = [];
  for (let seq = 0; (seq = queue.lanes[0]!.nextReady(seq)) >= 0; seq++) {
    const message = queue.messageAt(0, seq)!;
    found.push(new TextDecoder().decode(message.body.subarray(message.bodyStart, message.bodyEnd)));
  }
  return found;
}

async function open(data: string): Promise<{ broker: Broker; problems: string[]; found: string[][] }> {
  const problems: string[] = [];
  const broker = await Broker.open({
    data,
    onEvent: (event) => event.type === "damaged" && problems.push(event.what),
  });
  const found = [...broker.vhosts.get("/")!.queues.values()].map((queue) => [queue.name, ...bodies(queue)]);
  return { broker, problems, found };
}

const running: Broker[] = [];

/** Lets all changes of files fail after a number of them. */
class Crash {
  readonly #real = {
    openSync: fs.openSync,
    writeSync: fs.writeSync,
    renameSync: fs.renameSync,
    truncateSync: fs.truncateSync,
    rmSync: fs.rmSync,
  };

  constructor(left: number) {
    const { openSync, ...changes } = this.#real;
    const count = () => {
      if (left-- <= 0) throw new Error("crash");
    };
    for (const [name, real] of Object.entries(changes)) {
      Object.assign(fs, {
        [name]: (...args: unknown[]) => {
          // The lock is released when a process ends.
          if (!/lock/.test(String(args[0]))) count();
          return (real as (...args: unknown[]) => unknown)(...args);
        },
      });
    }
    Object.assign(fs, {
      openSync: (...args: Parameters<typeof openSync>) => {
        if (/[wax]/.test(String(args[1])) && !/lock/.test(String(args[0]))) count();
        return openSync(...args);
      },
    });
  }

  [Symbol.dispose](): void {
    Object.assign(fs, this.#real);
  }
}

describe("broker, definitions lost", () => {
  it("lost definitions - the messages of a queue with a damaged definition are in a new queue, which is reported and kept", async () => {
    using dir = tempDir();
    const data = dir.file("data");
    await filled(data, "first", "last");
    const file = `${data}/definitions`;
    const text = fs.readFileSync(file, "latin1");
    // The last record looks like an incomplete write.
    fs.writeFileSync(file, text.replace('"last"', '"lost"'), "latin1");
    const { broker, problems, found } = await open(data);
    const name = found[1]![0]!;
    assert.match(name, /^recovered\.\d+$/);
    assert.deepEqual(found, [["first", "b of first", "c of first"], [name, "b of last", "c of last"]]);
    assert.equal(problems.length, 3);
    assert.match(
      problems[0]!,
      /definitions" is damaged: \d+ bytes of definitions are lost; .*definitions\.damaged-1$/,
    );
    assert.equal(
      problems[1],
      `The definition of a queue is lost: its 2 messages are in the queue '${name}' now`,
    );
    assert.match(problems[2]!, /^The definitions of users are lost, and the user 'guest' is not added/);
    await broker.close();
    const again = await open(data);
    assert.deepEqual([again.problems, again.found], [problems.slice(2), found]);
    assert.equal(again.broker.users.size, 0);
    await again.broker.close();
  });

  for (
    const [what, damage] of [
      [
        "damaged",
        (file: string) =>
          fs.writeFileSync(file, fs.readFileSync(file, "latin1").replace('"last"', '"lost"'), "latin1"),
      ],
      ["missing", (file: string) => fs.rmSync(file)],
      [
        "truncated",
        (file: string) => fs.truncateSync(file, fs.readFileSync(file).indexOf("last") - 80),
      ],
    ] as const
  ) {
    it(`lost definitions - messages are kept if the start crashes at any moment, definitions ${what}`, async () => {
      using dir = tempDir();
      await filled(dir.file("data"), "first", "last");
      damage(`${dir.file("data")}/definitions`);
      for (let moment = 0;; moment++) {
        const data = dir.file(String(moment));
        fs.cpSync(dir.file("data"), data, { recursive: true });
        let crashed = true;
        {
          using _crash = new Crash(moment);
          await open(data).then(({ broker }) => {
            crashed = false;
            // Not closed: that would be a clean stop.
            running.push(broker);
          }, () => {});
        }
        if (!crashed) break;
        const { broker, found } = await open(data);
        assert.deepEqual(
          found.map(([, ...messages]) => messages).sort(),
          [["b of first", "c of first"], ["b of last", "c of last"]],
          `moment ${moment}`,
        );
        await broker.close();
      }
      for (const broker of running.splice(0)) await broker.close();
    });
  }

  it("lost definitions - all messages are kept without any definitions, and new queues get other ids", async () => {
    using dir = tempDir();
    const data = dir.file("data");
    await filled(data, "first", "last");
    fs.rmSync(`${data}/definitions`);
    const { broker, problems, found } = await open(data);
    assert.deepEqual(found.map(([, ...rest]) => rest), [["b of first", "c of first"], [
      "b of last",
      "c of last",
    ]]);
    assert.equal(problems.length, 4);
    assert.match(problems[0]!, /^The file definitions is missing/);
    assert.equal(broker.users.size, 0);
    const vhost = broker.vhosts.get("/")!;
    broker.core.cycle.begin();
    const next = vhost.declareQueue({ ...DURABLE, queue: "next" }, broker);
    broker.core.cycle.end();
    assert.equal(next.ready, 0);
    assert.equal(new Set([...vhost.queues.values()].map(({ definition }) => definition.id)).size, 3);
    await broker.close();
  });

  it("lost definitions - a deleted queue is not restored", async () => {
    using dir = tempDir();
    const data = dir.file("data");
    await filled(data, "first", "last");
    const { broker } = await open(data);
    broker.core.cycle.begin();
    broker.core.deleteQueue(broker.vhosts.get("/")!.queues.get("first")!);
    broker.core.cycle.end();
    await broker.close();
    // A crash leaves no manifest.
    fs.rmSync(`${data}/manifest`);
    const file = `${data}/definitions`;
    fs.appendFileSync(file, "half a record");
    const { broker: other, problems, found } = await open(data);
    assert.deepEqual([problems, found], [[], [["last", "b of last", "c of last"]]]);
    await other.close();
  });

  it("lost definitions - a deleted queue or exchange does not come back when its deletion rewrites the file", async () => {
    using dir = tempDir();
    const data = dir.file("data");
    const broker = await Broker.open({ data, sync: "flush" });
    const vhost = broker.vhosts.get("/")!;
    const file = `${data}/definitions`;
    const exchange = {
      passive: false,
      durable: true,
      autoDelete: false,
      internal: false,
      type: "fanout",
      arguments: {},
    };
    const deletions = [
      (name: string) => vhost.removeQueue(vhost.declareQueue({ ...DURABLE, queue: name }, broker)),
      (name: string) => {
        vhost.declareExchange({ ...exchange, exchange: name });
        vhost.deleteExchange({ exchange: name, ifUnused: false });
      },
    ];
    for (const remove of deletions) {
      // The name has the length that makes the file too long before the deletion, in one of the rewrites.
      for (let i = 0, rewrites = 0; rewrites < 12; i++) {
        const { ino } = fs.statSync(file);
        remove(`${i}`.padEnd(100 + i % 100, "x"));
        if (fs.statSync(file).ino !== ino) rewrites++;
      }
    }
    const copy = dir.file("copy");
    fs.mkdirSync(copy);
    fs.copyFileSync(file, `${copy}/definitions`);
    await broker.close();
    const other = await open(copy);
    assert.deepEqual([other.problems, other.found], [[], []]);
    const exchanges = [...other.broker.vhosts.get("/")!.exchanges.keys()];
    assert.deepEqual(exchanges.filter((name) => name !== "" && !name.startsWith("amq.")), []);
    await other.broker.close();
  });

  it("lost definitions - a queue that expires while the disk is full is deleted, and its deletion is written later", async () => {
    using dir = tempDir();
    const data = dir.file("data");
    const failures: string[] = [];
    const broker = await Broker.open({
      data,
      sync: "flush",
      onEvent: (event) => event.type === "failed" && failures.push(event.error.message),
    });
    const vhost = broker.vhosts.get("/")!;
    vhost.declareQueue({ ...DURABLE, queue: "old", arguments: { "x-expires": 20 } }, broker);
    const { writeSync } = fs;
    Object.assign(fs, {
      writeSync: () => {
        throw Object.assign(new Error("no space"), { code: "ENOSPC" });
      },
    });
    try {
      await waitFor(() => failures.length > 0);
    } finally {
      Object.assign(fs, { writeSync });
    }
    assert.match(failures.join(), /^Cannot write the deletion of queue 'old' in virtual host '\/': .*ENOSPC/);
    assert.equal(vhost.queues.size, 0);
    await waitFor(() => broker.core.blocked === undefined);
    await broker.close();
    const other = await open(data);
    assert.deepEqual([other.problems, other.found], [[], []]);
    await other.broker.close();
  });

  const harms: [name: string, harm: (file: string) => void][] = [
    ["the header", (file) => change(file, (bytes) => bytes[1]! ^= 0x10)],
    ["the header and the record of the user", (file) =>
      change(file, (bytes) => {
        bytes[1]! ^= 0x10;
        bytes[bytes.indexOf('"alice"') + 2]! ^= 1;
      })],
    [
      "the record that removes guest",
      (file) => change(file, (bytes) => bytes[bytes.indexOf("user-removed")]! ^= 1),
    ],
    ["everything", (file) => fs.writeFileSync(file, "nothing that could be read")],
    ["the file, which is deleted", (file) => fs.rmSync(file)],
    ["the end, which is cut off", (file) => fs.truncateSync(file, 200)],
  ];
  for (const crash of [false, true]) {
    for (const [name, harm] of harms) {
      // After a crash, a shorter file can be one that was not written completely.
      if (crash && name.startsWith("the end")) continue;
      it(`lost definitions - guest is no administrator after damage of ${name}${crash ? ", and a crash" : ""}`, async () => {
        using dir = tempDir();
        const data = dir.file("data");
        await filled(data, "first");
        const before = await open(data);
        before.broker.users.put("alice", "secret", ["administrator"]);
        before.broker.users.remove("guest");
        await before.broker.close();
        if (crash) fs.rmSync(`${data}/manifest`);
        harm(`${data}/definitions`);
        const password = new TextEncoder().encode("guest");
        for (let start = 0; start < 3; start++) {
          const { broker, problems } = await open(data);
          assert.notEqual(broker.users.authenticate("guest", password, true), undefined);
          assert.ok(start > 0 || problems.length > 0);
          if (name === "the header") assert.deepEqual([...broker.users].map((user) => user.name), ["alice"]);
          await broker.close();
        }
      });
    }
  }

  const unreadable: [name: string, harm: (file: string) => void][] = [
    ["is a directory", (file) => fs.mkdirSync(file)],
    ["is empty", (file) => fs.writeFileSync(file, "")],
    ["has three bytes", (file) => fs.writeFileSync(file, "abc")],
    ["has no record", (file) => fs.writeFileSync(file, "abcdefg")],
  ];
  for (const [name, harm] of unreadable) {
    it(`lost definitions - guest is not added to a directory without messages when the file ${name}`, async () => {
      using dir = tempDir();
      const data = dir.file("data");
      const before = await open(data);
      before.broker.users.put("alice", "secret", ["administrator"]);
      before.broker.users.remove("guest");
      await before.broker.close();
      fs.rmSync(`${data}/manifest`);
      fs.rmSync(`${data}/definitions`);
      harm(`${data}/definitions`);
      for (let start = 0; start < 2; start++) {
        const { broker } = await open(data);
        assert.equal(broker.users.size, 0);
        await broker.close();
      }
    });
  }

  it("lost definitions - a broker that has never had users adds guest at each start", async () => {
    using dir = tempDir();
    const data = dir.file("data");
    await filled(data, "first");
    fs.rmSync(`${data}/lock`, { force: true });
    const { broker, problems } = await open(data);
    assert.deepEqual(problems, []);
    assert.equal(broker.users.authenticate("guest", new TextEncoder().encode("guest"), true), undefined);
    await broker.close();
  });
});

function change(file: string, harm: (bytes: Buffer) => void): void {
  const bytes = fs.readFileSync(file);
  harm(bytes);
  fs.writeFileSync(file, bytes);
}
