import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeProperties, encodeProperties } from "../../../lib/amqp/properties.ts";
import type { Delivery, Envelope, Outcome } from "../../../lib/patterns/contract.ts";
import { Replier } from "../../../lib/patterns/replier.ts";
import { Signal } from "../../../lib/transport/waiting.ts";
import { waitFor } from "../../support/helpers.ts";

/** A replier between two ends that record what happens. */
class Scene {
  readonly log: string[] = [];
  readonly outcomes: Outcome[] = [];
  readonly envelopes: Envelope[] = [];
  readonly gone: string[] = [];
  replied = 0;
  room = 1;
  isReceived: Promise<boolean> | undefined;
  readonly replier: Replier;
  readonly inlet = {
    changed: new Signal(),
    failure: undefined as Error | undefined,
    generation: 1,
    start: () => Promise.resolve(),
    ack: ({ tag }: { tag: number }) => void this.log.push(`ack ${tag}`),
    nack: ({ tag }: { tag: number }, requeue: boolean) => void this.log.push(`nack ${tag} ${requeue}`),
    flush: () => {},
    pause: () => void this.log.push("pause"),
    resume: () => void this.log.push("resume"),
    cancel: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  readonly outlet = {
    ...this.inlet,
    changed: new Signal(),
    acknowledged: 0,
    refused: 0,
    refusalReason: "",
    returned: 0,
    returnReason: "",
    pending: 0,
    takenInOrder: 0,
    onSettled: () => {},
    publish: (_bodies: unknown, from: number, to: number, envelope: unknown, outcome?: Outcome) => {
      if (this.room === 0) return from;
      this.envelopes.push(envelope as Envelope);
      this.outcomes.push(outcome!);
      return to;
    },
  };
  #deliver!: (delivery: Delivery) => void;
  #tag = 0;

  constructor() {
    this.replier = new Replier((onDelivery) => {
      this.#deliver = onDelivery;
      return {
        inlet: this.inlet,
        outlet: this.outlet,
        route: (replyTo) => ({ exchange: "", routingKey: replyTo }),
        isReceived: () => this.isReceived,
      };
    }, { onReplied: () => this.replied++, onUndeliverable: (reason) => this.gone.push(reason) });
  }

  deliver(body: string, properties: Uint8Array): void {
    const bytes = new TextEncoder().encode(body);
    const content = {
      properties,
      propertiesEnd: properties.length,
      body: bytes,
      bodyStart: 0,
      bodyEnd: bytes.length,
    };
    this.#deliver({ deliveryTag: ++this.#tag, redelivered: false, exchange: "", routingKey: "rpc", content });
    bytes.fill(0); // The buffer is used again.
  }

  async request(body = "x") {
    this.deliver(body, encodeProperties({ replyTo: "back", correlationId: "7" }));
    return (await this.replier.receive())!;
  }
}

const REPLY = new Uint8Array(3);

describe("replier", () => {
  it("replier - acknowledges a request after its reply is confirmed", async () => {
    const scene = new Scene();
    await scene.replier.start();
    const request = await scene.request("hello");
    assert.equal(new TextDecoder().decode(request.delivery.content.body), "hello");
    scene.replier.reply(request, REPLY, { type: "t" });
    assert.deepEqual(scene.envelopes.map(({ routingKey }) => routingKey), ["back"]);
    assert.deepEqual(decodeProperties(scene.envelopes[0]!.properties), { type: "t", correlationId: "7" });
    assert.deepEqual([scene.log, scene.replier.pending], [[], 1]);
    scene.outcomes[0]!.onSettled(true);
    assert.deepEqual([scene.log, scene.replier.pending, scene.replied], [["ack 1"], 0, 1]);
    await scene.replier.close();
  });

  it("replier - acknowledges and reports a request whose reply has no receiver or is refused", async () => {
    const scene = new Scene();
    scene.replier.reply(await scene.request(), REPLY);
    scene.outcomes[0]!.onReturn(312, "no queue");
    scene.outcomes[0]!.onSettled(true);
    scene.replier.reply(await scene.request(), REPLY);
    scene.outcomes[1]!.onSettled(false);
    scene.isReceived = Promise.resolve(false);
    scene.replier.reply(await scene.request(), REPLY);
    await waitFor(() => scene.gone.length === 3);
    assert.match(scene.gone.join(), /^no queue,.*refused.*,no client receives replies at 'back'/);
    assert.deepEqual([scene.log, scene.outcomes.length, scene.replied], [["ack 1", "ack 2", "ack 3"], 2, 0]);
  });

  it("replier - waits for room, and until replies are confirmed", async () => {
    const scene = new Scene();
    scene.room = 0;
    scene.replier.reply(await scene.request(), REPLY);
    await scene.replier.settled(1);
    assert.deepEqual([scene.outcomes.length, scene.replier.pending], [0, 1]);
    scene.room = 1;
    scene.outlet.changed.fire();
    await waitFor(() => scene.outcomes.length === 1);
    const settled = scene.replier.settled(10_000);
    scene.outcomes[0]!.onSettled(true);
    await settled;
  });

  it("replier - forgets requests of a lost connection: they come again", async () => {
    const scene = new Scene();
    const request = await scene.request();
    scene.deliver("waits", encodeProperties({}));
    scene.inlet.generation++;
    scene.deliver("new", new Uint8Array([9, 9, 9]));
    scene.replier.reply(request, REPLY);
    assert.deepEqual([scene.outcomes.length, scene.replier.pending], [0, 0]);
    const next = (await scene.replier.receive())!;
    assert.equal(new TextDecoder().decode(next.delivery.content.body), "new");
    assert.deepEqual([next.properties, next.replyTo], [{}, undefined], "its properties cannot be decoded");
    assert.throws(() => scene.replier.reply(next, REPLY), /no address for a reply/);
    scene.replier.reject(next, true);
    assert.deepEqual(scene.log, ["nack 3 true"]);
  });

  it("replier - the end of receiving and a failure end every wait", async () => {
    const scene = new Scene();
    await scene.replier.start();
    const waiting = scene.replier.receive();
    scene.inlet.failure = new Error("gone");
    scene.inlet.changed.fire();
    assert.equal(await waiting, undefined);
    assert.equal(scene.replier.failure?.message, "gone");
    const other = new Scene();
    const received = other.replier.receive();
    other.replier.endReceiving();
    assert.equal(await received, undefined);
  });

  it("replier - stops reading while many requests wait: QoS 0 of MQTT has no window", async () => {
    const scene = new Scene();
    await scene.replier.start();
    const properties = encodeProperties({ replyTo: "back" });
    for (let i = 0; i < 1500; i++) scene.deliver("x", properties);
    assert.deepEqual(scene.log, ["pause"]);
    for (let i = 0; i < 1500; i++) await scene.replier.receive();
    assert.deepEqual(scene.log, ["pause", "resume"]);
  });
});
