/** Checks that each entry of two checklists has a test: libzmq's own tests, and the mistakes of other implementations. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const TESTS = fileURLToPath(new URL("../../..", import.meta.url));

/** The names of libzmq's tests. For each there is a test here whose title begins with the same name. */
const NAMES =
  "spec_req spec_rep spec_dealer spec_router spec_pushpull req_relaxed req_correlate invalid_rep router_mandatory " +
  "router_handover probe_router connect_rid mock_pub_sub heartbeats stream_timeout issue_566 xpub_verbose " +
  "xpub_manual_last_value xpub_nodrop sub_forward pubsub_topics_count hwm hwm_pubsub conflate immediate reconnect_ivl " +
  "bind_after_connect inproc_connect abstract_ipc ipc_wildcard last_endpoint term_endpoint radio_dish client_server";

/** Mistakes of other implementations, and the test that would find each here: its file and the beginning of its title. */
const MISTAKES: readonly [mistake: string, file: string, title: string][] = [
  [
    "waiting for 64 bytes of greeting",
    "unit/zmtp/greeting_test.ts",
    "greeting - sends each part as soon as",
  ],
  ["losing bytes after it", "unit/zmtp/greeting_test.ts", "greeting - accepts everything in one chunk"],
  [
    "signed 64-bit lengths",
    "unit/zmtp/wire_hostile_test.ts",
    "length - rejects a frame that announces ${claim}",
  ],
  [
    "allocating before checking",
    "unit/zmtp/wire_hostile_test.ts",
    "length - allocates no memory for an announced length",
  ],
  ["PONG without context", "unit/zmtp/wire_frames_test.ts", "ping - is answered with its context"],
  ["PING shown to the application", "unit/zmtp/wire_frames_test.ts", "ping - never reaches the application"],
  [
    "header and body as two writes",
    "unit/zmtp/wire_frames_test.ts",
    "send - writes header and body as one segment",
  ],
  [
    "counting subscriptions per CANCEL",
    "unit/zmq/spec/pubsub_test.ts",
    "xpub_verbose - receives every subscription, and with",
  ],
  [
    "losing CURVE's inner COMMAND bit",
    "unit/zmtp/mechanisms/curve_messages_test.ts",
    "open - uses the flags MORE and COMMAND inside the box",
  ],
  [
    "a hot loop after an authentication failure",
    "interop/zmq_security_test.ts",
    "refused - ${name}: is reported once",
  ],
  [
    "PUB blocking with no subscriber",
    "unit/zmq/types/pub_test.ts",
    "no subscriber - all messages are accepted",
  ],
  [
    "one dead SUB failing every send",
    "unit/zmq/types/pub_test.ts",
    "drop - a full subscriber misses the newest",
  ],
  ["SUB not re-subscribing", "unit/zmq/spec/life_test.ts", "reconnect_ivl - a subscriber subscribes again"],
  [
    "a dead worker left in the round robin",
    "unit/zmq/types/push_test.ts",
    "loss - unsent messages of a disconnected peer",
  ],
  [
    "panics on a routed envelope",
    "unit/zmq/spec/request_test.ts",
    "invalid_rep - a request without an empty frame",
  ],
  [
    "duplicate identities deadlocking",
    "unit/zmq/spec/routing_test.ts",
    "router_handover - a hundred peers with one id",
  ],
  ["descriptors leaked by reconnects", "unit/zmq/spec/life_test.ts", "descriptors - a hundred reconnects"],
  [
    "an unbounded queue above the peers",
    "unit/zmq/types/push_test.ts",
    "sendBatch - queues messages up to the high-water",
  ],
  [
    "heartbeats on send-only sockets",
    "unit/zmq/spec/life_test.ts",
    "heartbeats - a peer that is silent is disconnected",
  ],
];

describe("checklists", () => {
  it("every libzmq test has a counterpart", () => {
    const sources = fs.readdirSync(path.join(TESTS, "unit"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith("_test.ts") && !name.endsWith("checklist_test.ts"))
      .map((name) => fs.readFileSync(path.join(TESTS, "unit", name), "utf8"));
    const missing = NAMES.split(" ").filter((name) => {
      return !sources.some((source) => new RegExp(`\\bit\\(\\s*["\`]${name} - `).test(source));
    });
    assert.deepEqual(missing, []);
  });

  for (const [mistake, file, title] of MISTAKES) {
    it(`${mistake} - ${file}`, () => {
      const source = fs.readFileSync(path.join(TESTS, file), "utf8");
      assert.ok(
        ["it", "test"].some((call) =>
          source.includes(`${call}("${title}`) || source.includes(`${call}(\`${title}`)
        ),
      );
    });
  }
});
