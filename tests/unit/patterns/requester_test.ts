import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { decodeProperties, encodeProperties } from "../../../lib/amqp/properties.ts";
import type { Delivery, Envelope } from "../../../lib/patterns/contract.ts";
import {
  Requester,
  type RequesterOptions,
  type RequestEvents,
  type RequestPort,
} from "../../../lib/patterns/requester.ts";
import { Signal } from "../../../lib/transport/waiting.ts";
import { waitFor } from "../../support/helpers.ts";

const ROUTE = { exchange: "", routingKey: "rpc" };
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A request as it was sent. */
interface Sent {
  readonly body: string;
  readonly id: string;
  readonly replyTo: string | undefined;
}

/** A requester, and a port that records what is sent. */
class Scene implements RequestPort {
  readonly sent: Sent[] = [];
  readonly replies: string[] = [];
  expired = 0;
  full = false;
  isPaused = false;
  readonly requester: Requester;
  #events!: RequestEvents;

  constructor(options: Partial<RequesterOptions> = {}) {
    this.requester = new Requester((events) => {
      this.#events = events;
      return {
        replyTo: "here",
        changed: new Signal(),
        failure: undefined,
        start: () => Promise.resolve(),
        check: () => {},
        close: () => Promise.resolve(),
      };
    }, {
      onReply: ({ content: { body, bodyStart, bodyEnd } }) =>
        this.replies.push(text(body.subarray(bodyStart, bodyEnd))),
      onExpired: () => this.expired++,
      ...options,
    });
  }

  up(): void {
    this.#events.onUp(this);
  }

  send({ properties }: Envelope, bytes: Uint8Array, start: number, end: number): void {
    const { correlationId, replyTo } = decodeProperties(properties);
    this.sent.push({ body: text(bytes.slice(start, end)), id: correlationId!, replyTo });
  }

  flush(): void {}

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  down(): void {
    this.#events.onDown();
  }

  writable(): void {
    this.#events.onWritable();
  }

  ask(...bodies: string[]): void {
    const envelope = { ...ROUTE, properties: encodeProperties({ type: "t", correlationId: "mine" }) };
    const bytes = new TextEncoder().encode(bodies.join(""));
    let at = 0;
    const starts = bodies.map((body) => (at += body.length) - body.length);
    const ends = starts.map((start, i) => start + bodies[i]!.length);
    bodies.forEach((_, i) => this.requester.request({ bytes, starts, ends }, i, envelope));
    this.requester.flush();
  }

  answer(correlationId: string, body: string): void {
    const bytes = new TextEncoder().encode(body);
    const properties = encodeProperties({ correlationId });
    const delivery: Delivery = {
      ...ROUTE,
      deliveryTag: 1,
      redelivered: false,
      content: {
        properties,
        propertiesEnd: properties.length,
        body: bytes,
        bodyStart: 0,
        bodyEnd: bytes.length,
      },
    };
    this.#events.onDelivery(delivery);
    bytes.fill(0); // The buffer is used again.
    this.#events.onBatchEnd();
  }
}

describe("requester", () => {
  it("requester - passes on replies in the order of the requests", () => {
    const scene = new Scene({ jobs: 3 });
    scene.up();
    scene.ask("a", "b", "c");
    assert.deepEqual(scene.sent.map(({ body, replyTo }) => [body, replyTo]), [["a", "here"], ["b", "here"], [
      "c",
      "here",
    ]]);
    assert.equal(scene.requester.hasRoom, false);
    const [a, b, c] = scene.sent.map(({ id }) => id);
    scene.answer(c!, "C");
    scene.answer(b!, "B");
    assert.deepEqual([scene.replies, scene.requester.unanswered, scene.requester.hasRoom], [[], 1, true]);
    scene.answer(a!, "A");
    assert.deepEqual([scene.replies, scene.requester.unanswered], [["A", "B", "C"], 0]);
  });

  it("requester - ignores unknown, repeated and malformed correlation ids", () => {
    const scene = new Scene({ jobs: 2 });
    scene.up();
    scene.ask("a", "b");
    const [a, b] = scene.sent.map(({ id }) => id);
    for (const id of ["", "x", "mine", a!.slice(1), `x${a!.slice(1)}`, a!.replace(/1$/, "9"), `${a}0`]) {
      scene.answer(id, "no");
    }
    scene.answer(b!, "B");
    scene.answer(b!, "again");
    scene.answer(a!, "A");
    scene.answer(a!, "again");
    assert.deepEqual(scene.replies, ["A", "B"]);
  });

  it("requester - sends requests without a reply again on the next connection, with the same ids", () => {
    const scene = new Scene({ jobs: 12 });
    scene.ask(..."abcdefghijkl");
    assert.equal(scene.sent.length, 0);
    scene.up();
    const first = scene.sent.splice(0);
    assert.equal(new Set(first.map(({ id }) => id)).size, 12);
    scene.answer(first[1]!.id, "B");
    scene.down();
    scene.up();
    assert.deepEqual(scene.sent, first.filter(({ body }) => body !== "b"));
    for (const { id, body } of scene.sent) scene.answer(id, body.toUpperCase());
    assert.equal(scene.replies.join(""), "ABCDEFGHIJKL");
  });

  it("requester - waits while the output is full", () => {
    const scene = new Scene({ jobs: 3 });
    scene.up();
    scene.full = true;
    scene.ask("a", "b");
    assert.equal(scene.sent.length, 0);
    scene.full = false;
    scene.writable();
    assert.deepEqual(scene.sent.map(({ body }) => body), ["a", "b"]);
  });

  it("requester - limits the replies that wait, and the bytes", () => {
    const scene = new Scene({ jobs: 10 });
    scene.up();
    scene.ask("first");
    for (let i = 0; scene.requester.hasRoom; i++) {
      assert.ok(i < 2000, "the replies that wait have no limit");
      scene.ask("x");
      scene.answer(scene.sent.at(-1)!.id, "reply");
    }
    assert.equal(scene.requester.unanswered, 1);
    scene.answer(scene.sent[0]!.id, "reply");
    assert.deepEqual([scene.requester.hasRoom, scene.replies.length], [true, scene.sent.length]);
    const size = 2 ** 20;
    const bodies = { bytes: new Uint8Array(size), starts: [0], ends: [size] };
    const envelope = { ...ROUTE, properties: encodeProperties({}) };
    const many = new Scene({ jobs: 1000 });
    let sent = 0;
    for (; many.requester.hasRoom; sent++) many.requester.request(bodies, 0, envelope);
    assert.equal(sent, 32);
  });

  it("requester - a request expires; the replies after it go on, and its own is ignored", async () => {
    const scene = new Scene({ jobs: 3, timeout: 30 });
    scene.up();
    scene.ask("a", "b");
    const [a, b] = scene.sent.map(({ id }) => id);
    scene.answer(b!, "B");
    await waitFor(() => scene.expired === 1);
    assert.deepEqual(scene.replies, ["B"]);
    scene.answer(a!, "late");
    assert.deepEqual([scene.replies, scene.requester.unanswered], [["B"], 0]);
    scene.ask("c");
    scene.answer(scene.sent.at(-1)!.id, "C");
    assert.deepEqual(scene.replies, ["B", "C"]);
  });

  it("requester - no request expires while reading is paused", async () => {
    const scene = new Scene({ timeout: 20 });
    scene.up();
    scene.ask("a");
    scene.requester.pause();
    assert.ok(scene.isPaused);
    const other = new Scene({ timeout: 40 });
    other.ask("b");
    await waitFor(() => other.expired === 1);
    assert.equal(scene.expired, 0);
    scene.requester.resume();
    await waitFor(() => scene.expired === 1);
  });

  it("requester - releases large requests with their replies", () => {
    const scene = new Scene();
    scene.up();
    const megabyte = "x".repeat(2 ** 20);
    // Bun collects what it can only when it is told to; other tests have left it with a large heap.
    const { Bun: bun } = globalThis as { Bun?: { gc(force: boolean): void } };
    bun?.gc(true);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 500; i++) {
      scene.ask(megabyte);
      const { id } = scene.sent.pop()!;
      scene.answer(id, "");
      if (i % 50 === 0) bun?.gc(true);
    }
    const grown = (process.memoryUsage().rss - before) / 2 ** 20;
    assert.ok(grown < 400, `the memory has grown by ${grown} MiB`);
  });
});
