/** The arguments of queues, and what a policy adds: which values are refused, with the exact texts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../../lib/amqp/amqp_error.ts";
import { type FieldTable, TypedNumber } from "../../../../../lib/amqp/types/field_value.ts";
import { parseSettings } from "../../../../../lib/broker/core/queue/settings.ts";

/** What is not as in a queue without arguments; or the error. */
function changed(args: FieldTable, policy: FieldTable = {}): string {
  try {
    const settings = Object.entries(parseSettings("q", "v", args, policy as never));
    const plain = parseSettings("q", "v", {}) as unknown as Record<string, unknown>;
    return settings.filter(([key, value]) => value !== plain[key]).map(([key, value]) => `${key} ${value}`)
      .join(", ");
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    return `${error.replyCode} ${error.replyText.replace(/^.* for queue 'q' in vhost 'v':? ?/, "")}`;
  }
}

const QUORUM = { "x-queue-type": "quorum" };

const CASES: readonly [what: string, args: FieldTable, expected: string, policy?: FieldTable][] = [
  ["no time to live", { "x-message-ttl": -1 }, "406 {value_negative,-1}"],
  ["a time to live of 0", { "x-message-ttl": 0 }, "messageTtl 0"],
  ["the longest time to live", { "x-message-ttl": 315_360_000_000 }, "messageTtl 315360000000"],
  ["a longer time to live", { "x-message-ttl": 315_360_000_001 }, "406 {value_too_large,315360000001}"],
  ["a time to live of text", { "x-message-ttl": "1" }, '406 "expected integer, got longstr"'],
  ["a time to live with a fraction", { "x-message-ttl": 1.5 }, '406 "expected integer, got double"'],
  ["a time to live of another type", { "x-message-ttl": new TypedNumber("B", 7) }, "messageTtl 7"],
  ["an expiry of 0", { "x-expires": 0 }, "406 {value_zero,0}"],
  ["an expiry of 1", { "x-expires": 1 }, "expires 1"],
  ["a negative expiry", { "x-expires": -1 }, "406 {value_negative,-1}"],
  ["the longest expiry", { "x-expires": 315_360_000_000 }, "expires 315360000000"],
  ["a longer expiry", { "x-expires": 315_360_000_001 }, "406 {value_too_large,315360000001}"],
  ["a negative length", { "x-max-length": -1 }, "406 {value_negative,-1}"],
  ["a length of 0", { "x-max-length": 0 }, "maxLength 0"],
  ["a negative size", { "x-max-length-bytes": -1 }, "406 {value_negative,-1}"],
  ["a size of 0", { "x-max-length-bytes": 0 }, "maxLengthBytes 0"],
  ["255 priorities", { "x-max-priority": 255 }, "maxPriority 255"],
  ["256 priorities", { "x-max-priority": 256 }, "406 {max_value_exceeded,256}"],
  ["a negative priority", { "x-max-priority": -1 }, "406 {value_negative,-1}"],
  [
    "a dead letter exchange",
    { "x-dead-letter-exchange": "e", "x-dead-letter-routing-key": "k" },
    "deadLetterExchange e, deadLetterRoutingKey k",
  ],
  [
    "a dead letter exchange that is no text",
    { "x-dead-letter-exchange": 1 },
    "406 {unacceptable_type,signedint}",
  ],
  [
    "a dead letter key without an exchange",
    { "x-dead-letter-routing-key": "k" },
    "406 routing_key_but_no_dlx_defined",
  ],
  [
    "a dead letter key that is no text",
    { "x-dead-letter-exchange": "e", "x-dead-letter-routing-key": true },
    "406 {unacceptable_type,bool}",
  ],
  ["to reject", { "x-overflow": "reject-publish" }, "overflow reject-publish"],
  ["to reject and keep", { "x-overflow": "reject-publish-dlx" }, "overflow reject-publish-dlx"],
  ["an unknown overflow", { "x-overflow": "burn" }, "406 invalid_overflow"],
  ["an overflow that is no text", { "x-overflow": 1 }, "406 {unacceptable_type,signedint}"],
  ["a lazy queue", { "x-queue-mode": "lazy" }, ""],
  ["an unknown mode", { "x-queue-mode": "eager" }, `406 "unsupported queue mode 'eager'"`],
  ["a mode that is no text", { "x-queue-mode": 1 }, "406 {unacceptable_type,signedint}"],
  ["version 1", { "x-queue-version": 1 }, ""],
  ["version 2", { "x-queue-version": 2 }, ""],
  ["version 3", { "x-queue-version": 3 }, `406 "unsupported queue version '3'"`],
  ["version -1", { "x-queue-version": -1 }, "406 {value_negative,-1}"],
  ["one active consumer", { "x-single-active-consumer": true }, "singleActiveConsumer true"],
  ["several active consumers", { "x-single-active-consumer": false }, ""],
  ["some active consumers", { "x-single-active-consumer": "yes" }, "406 {unacceptable_type,longstr}"],
  ["an unknown type", { "x-queue-type": "paper" }, `406 "unsupported queue type 'paper'"`],
  ["a type that is no text", { "x-queue-type": 1 }, "406 {unacceptable_type,signedint}"],
  [
    "a stream",
    { "x-queue-type": "stream" },
    "406 this broker has no streams (declare it as classic or quorum)",
  ],
  ["a classic queue", { "x-queue-type": "classic" }, ""],
  ["a quorum queue", QUORUM, "type quorum"],
  [
    "a classic queue with a delivery limit",
    { "x-delivery-limit": 1 },
    "406 of queue type rabbit_classic_queue",
  ],
  [
    "a quorum queue with priorities",
    { ...QUORUM, "x-max-priority": 1 },
    "406 of queue type rabbit_quorum_queue",
  ],
  ["a delivery limit", { ...QUORUM, "x-delivery-limit": 1 }, "deliveryLimit 1, type quorum"],
  ["a delivery limit of 0", { ...QUORUM, "x-delivery-limit": 0 }, "deliveryLimit 0, type quorum"],
  ["no delivery limit", { ...QUORUM, "x-delivery-limit": -1 }, "type quorum"],
  ["a delivery limit of text", { ...QUORUM, "x-delivery-limit": "1" }, '406 "expected integer, got longstr"'],
  ["an argument of streams", { "x-max-age": "1D" }, "406 of queue type rabbit_classic_queue"],
  ["a policy with a smaller length", { "x-max-length": 5 }, "maxLength 4", { "max-length": 4 }],
  ["a policy with a larger length", { "x-max-length": 5 }, "maxLength 5", { "max-length": 6 }],
  ["a policy alone", {}, "messageTtl 1, expires 2, maxLengthBytes 3", {
    "message-ttl": 1,
    expires: 2,
    "max-length-bytes": 3,
  }],
  ["a policy for dead letters", {}, "deadLetterExchange e, deadLetterRoutingKey k", {
    "dead-letter-exchange": "e",
    "dead-letter-routing-key": "k",
  }],
  ["a policy for other dead letters", { "x-dead-letter-exchange": "own" }, "deadLetterExchange own", {
    "dead-letter-exchange": "e",
  }],
  ["a policy with an overflow", {}, "overflow reject-publish-dlx", { overflow: "reject-publish-dlx" }],
  ["a policy with another overflow", { "x-overflow": "drop-head" }, "", { overflow: "reject-publish" }],
  [
    "quorum: a policy with another overflow",
    { ...QUORUM, "x-overflow": "drop-head" },
    "overflow reject-publish, type quorum",
    {
      overflow: "reject-publish",
    },
  ],
  ["quorum: a policy that keeps", { ...QUORUM, "x-overflow": "reject-publish" }, "type quorum", {
    overflow: "reject-publish-dlx",
  }],
  [
    "quorum: an overflow without a policy",
    { ...QUORUM, "x-overflow": "reject-publish" },
    "overflow reject-publish, type quorum",
  ],
  ["a policy with a longer expiry", { "x-expires": 5 }, "expires 5", { expires: 6 }],
  ["quorum: a policy with a longer expiry", { ...QUORUM, "x-expires": 5 }, "expires 6, type quorum", {
    expires: 6,
  }],
  [
    "a policy with a larger delivery limit",
    { ...QUORUM, "x-delivery-limit": 3 },
    "deliveryLimit 3, type quorum",
    { "delivery-limit": 4 },
  ],
  [
    "a policy with a smaller delivery limit",
    { ...QUORUM, "x-delivery-limit": 3 },
    "deliveryLimit 2, type quorum",
    { "delivery-limit": 2 },
  ],
  [
    "a policy with the only delivery limit",
    { ...QUORUM, "x-delivery-limit": -1 },
    "deliveryLimit 2, type quorum",
    { "delivery-limit": 2 },
  ],
];

describe("settings of queues", () => {
  for (const [what, args, expected, policy] of CASES) {
    it(`settings - ${what}`, () => {
      const said = changed(args, policy);
      assert.equal(said, expected);
    });
  }

  it("settings - of a queue without arguments", () => {
    assert.deepEqual(Object.entries(parseSettings("q", "v", {})).map(([key, value]) => `${key} ${value}`), [
      "messageTtl Infinity",
      "expires Infinity",
      "maxLength Infinity",
      "maxLengthBytes Infinity",
      "overflow drop-head",
      "deadLetterExchange undefined",
      "deadLetterRoutingKey undefined",
      "maxPriority 0",
      "singleActiveConsumer false",
      "deliveryLimit Infinity",
      "type classic",
    ]);
  });

  it("settings - a classic queue refuses what only others have", () => {
    const refused = (args: FieldTable, name: string) => changed({ ...args, [name]: 1 }).startsWith("406 ");
    const names = [
      "x-dead-letter-strategy",
      "x-quorum-initial-group-size",
      "x-queue-leader-locator",
      "x-max-in-memory-length",
      "x-max-in-memory-bytes",
      "x-max-age",
      "x-stream-max-segment-size-bytes",
      "x-initial-cluster-size",
      "x-queue-master-locator",
      "x-unknown",
    ];
    assert.deepEqual(names.map((name) => [refused({}, name), refused(QUORUM, name)].map(Number).join("")), [
      "10",
      "10",
      "10",
      "10",
      "10",
      "11",
      "11",
      "11",
      "01",
      "00",
    ]);
  });
});
