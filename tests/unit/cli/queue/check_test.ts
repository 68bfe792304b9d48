/** The parts of `queue check`: members of a queue, the age of a message, and the formats. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { QueueInfo } from "../../../../lib/amqp/client/management.ts";
import { ageOf } from "../../../../cli/queue/check/age.ts";
import { format } from "../../../../cli/queue/check/formats.ts";
import { findMembers, withNodes } from "../../../../cli/queue/check/members.ts";
import { type Report, statusOf, wordsOf } from "../../../../cli/queue/check/report.ts";

const info = (members: Partial<QueueInfo>): QueueInfo => ({ name: "jobs", vhost: "/", ...members });

describe("queue check", () => {
  it("members - a majority, one node more than that, and less", () => {
    const severity = (type: string, members: number, online: number) =>
      findMembers(info({ type, members: Array(members).fill("n"), online: Array(online).fill("n") }))
        ?.severity;
    for (const type of ["quorum", "stream"]) {
      assert.deepEqual([severity(type, 3, 3), severity(type, 3, 2), severity(type, 3, 1)], [
        undefined,
        "warning",
        "critical",
      ]);
      assert.deepEqual([severity(type, 5, 4), severity(type, 5, 3), severity(type, 5, 2)], [
        undefined,
        "warning",
        "critical",
      ]);
      assert.deepEqual([
        severity(type, 1, 1),
        severity(type, 1, 0),
        severity(type, 2, 2),
        severity(type, 2, 1),
      ], [
        undefined,
        "critical",
        undefined,
        "critical",
      ]);
    }
    assert.equal(findMembers(info({ type: "quorum" })), undefined);
    assert.equal(findMembers(info({ type: "classic", state: "running" })), undefined);
    const down = findMembers(info({ type: "classic", state: "down", node: "a@b" }));
    assert.deepEqual(down, { severity: "critical", text: "its node 'a@b' is down" });
  });

  it("members - those on nodes that are down are not online, although the queue still says so", () => {
    const queue = info({ type: "quorum", members: ["a", "b", "c"], online: ["a", "b"] });
    const nodes = ["a", "b", "c"].map((name) => ({ name, running: name === "a" }));
    assert.deepEqual(withNodes(queue, nodes).online, ["a"]);
    assert.deepEqual(withNodes(queue, undefined).online, ["a", "b"]);
    const stream = info({ type: "stream", node: "b" });
    assert.deepEqual(findMembers(withNodes(stream, nodes)), {
      severity: "critical",
      text: "its node 'b' is down",
    });
    assert.equal(findMembers(withNodes({ ...stream, node: "a" }, nodes)), undefined);
  });

  it("age - of mqcat's broker, of RabbitMQ's, and where it is not known", () => {
    const now = 1_000_000;
    const age = (members: Partial<QueueInfo> | undefined, ready = 1, isOwn = false) =>
      ageOf(members && info(members), ready, isOwn, now);
    assert.deepEqual(age({ oldest_message_received_timestamp: 990_000 }), { ms: 10_000, isExact: true });
    assert.deepEqual(age({ head_message_timestamp: 900 }), { ms: 100_000, isExact: true });
    // A clock that is ahead.
    assert.deepEqual(age({ head_message_timestamp: 2000 }), { ms: 0, isExact: true });
    assert.deepEqual(age({ head_message_timestamp: null }, 0), { ms: 0, isExact: true });
    const early = age({ oldest_message_received_timestamp: null, oldest_message_received_before: 400_000 });
    assert.deepEqual([early.ms, early.isExact], [600_000, false]);
    const reasons = [
      age(undefined),
      age({ type: "quorum" }),
      age({ type: "classic", head_message_timestamp: null }),
      age({ type: "stream", head_message_timestamp: 900 }),
      age({ type: "classic" }, 1, true),
    ].map(({ ms, isExact, reason }) => [ms, isExact, reason]);
    assert.deepEqual(reasons, [
      [undefined, false, "the HTTP API does not answer"],
      [undefined, false, "RabbitMQ does not report it for quorum queues"],
      [undefined, false, "the first message has no property 'timestamp'"],
      [undefined, false, "it is a stream, which keeps its messages"],
      [undefined, false, "this version of the broker does not report it"],
    ]);
  });

  it("formats - the worst finding is the status and comes first; names are escaped", () => {
    const report: Report = {
      subject: "queue 'a\"|b'",
      labels: { vhost: "/", queue: 'a"|b\\' },
      summary: "",
      findings: [{ severity: "warning", text: "w" }, { severity: "unknown", text: "u" }, {
        severity: "critical",
        text: "c",
      }],
      figures: [
        { name: "messages_ready", value: 3, max: 2 },
        { name: "consumers", value: 0, min: 1 },
        { name: "oldest_message_age_seconds", value: 1.5, max: 1 },
        { name: "members", value: 1 },
      ],
    };
    assert.equal(wordsOf(report), "c; u; w");
    assert.deepEqual(format(report, "text"), ["critical: queue 'a\"|b': c; u; w"]);
    assert.deepEqual(format(report, "nagios"), [
      "MQCAT CRITICAL - queue 'a\"¦b': c; u; w | messages_ready=3;;2 consumers=0;;1: " +
      "oldest_message_age_seconds=1.5s;;1 members=1",
    ]);
    const json = JSON.parse(format(report, "json")[0]!);
    assert.deepEqual([json.status, json.queue, json.messages_ready, json.findings.length], [
      "critical",
      'a"|b\\',
      3,
      3,
    ]);
    const lines = format(report, "prometheus").filter((line) => !line.startsWith("#"));
    assert.deepEqual(lines.slice(0, 2), [
      'mqcat_check_status{vhost="/",queue="a\\"|b\\\\"} 2',
      'mqcat_check_messages_ready{vhost="/",queue="a\\"|b\\\\"} 3',
    ]);
    const statuses = [[], ["warning"], ["warning", "unknown"]] as const;
    assert.deepEqual(
      statuses.map((severities) =>
        statusOf({ ...report, findings: severities.map((severity) => ({ severity, text: "" })) })
      ),
      ["ok", "warning", "unknown"],
    );
  });
});
