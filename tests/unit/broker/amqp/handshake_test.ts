/** How a login over AMQP ends: the exact reply at each step. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { encodeTable } from "../../../../lib/amqp/types/table.ts";
import { readCredentials } from "../../../../lib/broker/amqp/sasl.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { Peer } from "../../../interop/amqp/peer.ts";

const utf8 = new TextEncoder();

/** A login until it ends. @returns the last event from the broker */
async function ending(url: string, steps: (peer: Peer) => void | Promise<void>): Promise<string> {
  const peer = await Peer.dial(url);
  const last = () => peer.received.find(({ name }) => ["connection.close", "header", "end"].includes(name));
  await steps(peer);
  await peer.until(() => last() !== undefined || peer.over, "the end");
  const { name, args } = last()!;
  peer.cut();
  if (name !== "connection.close") return `${name} ${args["offers"] ?? ""}`.trim();
  return `${args["replyCode"]} ${args["classId"]}.${args["methodId"]} ${args["replyText"]}`;
}

const tuneOk = (frameMax: number, channelMax: number) => async (peer: Peer) => {
  await peer.start();
  const response = utf8.encode("\0guest\0guest");
  peer.zero.send("connection.start-ok", { mechanism: "PLAIN", response, locale: "en_US" });
  await peer.zero.take("connection.tune");
  peer.zero.send("connection.tune-ok", { frameMax, channelMax, heartbeat: 0 });
  peer.zero.send("connection.open", { virtualHost: "/" });
  const outcome = () => peer.received.find(({ name }) => /open-ok|close/.test(name));
  await peer.until(() => outcome() !== undefined, "the answer");
  if (outcome()!.name === "connection.open-ok") peer.zero.send("connection.start-ok", {});
};

const startOk =
  (mechanism: string, response: string | Uint8Array, capabilities = {}) => async (peer: Peer) => {
    await peer.start();
    peer.zero.send("connection.start-ok", {
      clientProperties: { capabilities },
      mechanism,
      response: typeof response === "string" ? utf8.encode(response) : response,
      locale: "en_US",
    });
  };

const NOTIFY = { authentication_failure_close: true };

/** After a login that succeeds, a second start-ok ends the connection. */
const ACCEPTED = "504 10.11 CHANNEL_ERROR - unexpected method in connection state running";

const CASES: readonly [what: string, steps: (peer: Peer) => void | Promise<void>, expected: string][] = [
  ["another protocol", (peer) => peer.bytes(utf8.encode("HTTP/1.1")), "header AMQP 0-9-1"],
  ["another version", (peer) => peer.bytes(utf8.encode("AMQP\0\x01\0\0")), "header AMQP 0-9-1"],
  ["a method that is not expected", async (peer) => {
    await peer.start();
    peer.zero.send("connection.open", {});
  }, "503 10.40 COMMAND_INVALID - expected connection.start-ok, got connection.open"],
  ["a close in the middle", async (peer) => {
    await peer.start();
    peer.zero.send("connection.close", {});
  }, "end"],
  [
    "an unknown mechanism",
    startOk("CRAM-MD5", ""),
    "503 10.11 COMMAND_INVALID - the mechanism 'CRAM-MD5' is unknown; the broker has PLAIN and AMQPLAIN",
  ],
  [
    "no name and no password",
    startOk("PLAIN", ""),
    "501 10.11 FRAME_ERROR - the response of PLAIN is malformed",
  ],
  ["no password", startOk("PLAIN", "\0guest"), "501 10.11 FRAME_ERROR - the response of PLAIN is malformed"],
  [
    "an identity",
    startOk("PLAIN", "root\0guest\0guest"),
    "501 10.11 FRAME_ERROR - the response of PLAIN is malformed",
  ],
  [
    "too many parts",
    startOk("PLAIN", "\0guest\0guest\0"),
    "501 10.11 FRAME_ERROR - the response of PLAIN is malformed",
  ],
  [
    "a table without a name",
    startOk("AMQPLAIN", encodeTable({ PASSWORD: "guest" }).slice(4)),
    "501 10.11 FRAME_ERROR - the response of AMQPLAIN has no LOGIN and PASSWORD",
  ],
  ["a wrong password", startOk("PLAIN", "\0guest\0wrong"), "end"],
  [
    "a wrong password of a client that waits for a close",
    startOk("PLAIN", "\0guest\0wrong", NOTIFY),
    "403 0.0 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
  ],
  [
    "EXTERNAL without a certificate",
    startOk("EXTERNAL", "", NOTIFY),
    "503 10.11 COMMAND_INVALID - the mechanism 'EXTERNAL' is unknown; the broker has PLAIN and AMQPLAIN",
  ],
  ["a missing virtual host", async (peer) => {
    await peer.login();
    peer.zero.send("connection.open", { virtualHost: "missing" });
  }, "530 10.40 NOT_ALLOWED - vhost missing not found"],
  ["a virtual host that the user may not use", async (peer) => {
    await peer.login();
    peer.zero.send("connection.open", { virtualHost: "closed" });
  }, "530 10.40 NOT_ALLOWED - access to vhost 'closed' refused for user 'guest'"],
  [
    "tune, frames of 4095 bytes",
    tuneOk(4095, 2047),
    "530 10.31 NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)",
  ],
  ["tune, frames of 4096 bytes", tuneOk(4096, 2047), ACCEPTED],
  ["tune, frames of 131072 bytes", tuneOk(131_072, 1), ACCEPTED],
  [
    "tune, frames of 131073 bytes",
    tuneOk(131_073, 2047),
    "530 10.31 NOT_ALLOWED - negotiated frame_max = 131073 is higher than the maximum allowed value (131072)",
  ],
  ["tune, no limit of frames", tuneOk(0, 2047), ACCEPTED],
  [
    "tune, no limit of channels",
    tuneOk(4096, 0),
    "530 10.31 NOT_ALLOWED - negotiated channel_max = 0 is no limit, which is higher than the maximum allowed value (2047)",
  ],
  [
    "tune, 2048 channels",
    tuneOk(4096, 2048),
    "530 10.31 NOT_ALLOWED - negotiated channel_max = 2048 is higher than the maximum allowed value (2047)",
  ],
];

describe("broker, login over AMQP", () => {
  let broker: Broker;
  let url: string;
  before(async () => {
    broker = await Broker.open();
    broker.core.addVirtualHost("closed");
    url = await broker.listen("amqp://127.0.0.1:0");
  });
  after(() => broker.close());

  for (const [what, steps, expected] of CASES) {
    it(`login - ${what}`, async () => {
      const said = await ending(url, steps);
      assert.equal(said, expected);
    });
  }

  it("login - the limits that were agreed apply: the size of frames, the number of channels", async () => {
    const peer = await Peer.open(url, { channelMax: 2, frameMax: 4096 });
    const unlimited = await Peer.open(url, { channelMax: 3, frameMax: 0, heartbeat: 7 });
    const agreed = [...broker.connections].map(({ frameMax, channelMax, heartbeat }) =>
      [channelMax, frameMax, heartbeat].join(" ")
    );
    assert.ok(agreed.includes("2 4096 0") && agreed.includes("3 131072 7"), agreed.join());
    await unlimited.close();
    await peer.channel();
    const second = await peer.channel();
    await second.close();
    await peer.channel();
    await peer.use(4).refused(530, "channel.open");
    const { args } = peer.received.find(({ name }) => name === "connection.close")!;
    assert.equal(
      args["replyText"],
      "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)",
    );
    await peer.ended();
  });

  it("login - what the broker says of itself", async () => {
    const peer = await Peer.dial(url);
    const { serverProperties, mechanisms, locales, versionMajor, versionMinor } = await peer.start();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.deepEqual([versionMajor, versionMinor, text(mechanisms), text(locales)], [
      0,
      9,
      "PLAIN AMQPLAIN",
      "en_US",
    ]);
    assert.equal(serverProperties["product"], "mqcat");
    assert.deepEqual({ ...(serverProperties["capabilities"] as object) }, {
      publisher_confirms: true,
      exchange_exchange_bindings: true,
      "basic.nack": true,
      consumer_cancel_notify: true,
      "connection.blocked": true,
      consumer_priorities: true,
      authentication_failure_close: true,
      per_consumer_qos: true,
      direct_reply_to: true,
      "x-mqcat-peek": true,
      "x-mqcat-dump": true,
      "x-mqcat-where": true,
    });
    peer.cut();
  });
});

describe("SASL", () => {
  const text = (mechanism: string, response: Uint8Array) => {
    const { name, password } = readCredentials(mechanism, response);
    return [name, new TextDecoder().decode(password)];
  };

  it("sasl - PLAIN and AMQPLAIN have a name and a password", () => {
    assert.deepEqual(text("PLAIN", utf8.encode("\0é\0p ")), ["é", "p "]);
    assert.deepEqual(text("PLAIN", utf8.encode("\0\0")), ["", ""]);
    const table = (content: Record<string, string | Uint8Array>) => encodeTable(content).slice(4);
    assert.deepEqual(text("AMQPLAIN", table({ LOGIN: "n", PASSWORD: "p" })), ["n", "p"]);
    assert.deepEqual(text("AMQPLAIN", table({ LOGIN: "n", PASSWORD: utf8.encode("p") })), ["n", "p"]);
  });
});
