/** Users of a running broker: logins, permissions, and their state after a restart. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Broker } from "../../../lib/broker/server.ts";
import { Peer } from "../../interop/amqp/peer.ts";
import { tempDir, waitFor } from "../../support/helpers.ts";
import { MqttPeer } from "../../support/mqtt_peer.ts";
import { StompPeer } from "../../support/stomp_peer.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const ALL = { configure: ".*", write: ".*", read: ".*" };

/** The last method that a peer received. */
function last(peer: Peer): string {
  const { name, args } = peer.received.at(-1)!;
  return `${name} ${args["replyCode"]} ${args["replyText"]}`;
}

function closed(peer: Peer): Promise<void> {
  return peer.until(() => /close$/.test(peer.received.at(-1)!.name), "a close");
}

describe("broker, users", () => {
  for (const how of ["removed", "removed over HTTP", "removed in bulk"] as const) {
    it(`users - the connections of a user who is ${how} are closed, and no others`, async () => {
      const broker = await Broker.open();
      try {
        const url = await broker.listen("amqp://127.0.0.1:0");
        broker.users.put("jane", "s3cret");
        broker.users.permit("jane", "/", ALL);
        const jane = await Peer.open(url, { user: "jane", password: "s3cret" });
        const guest = await Peer.open(url);
        const channel = await jane.channel();
        await channel.queue("q");
        if (how === "removed") broker.removeUser("jane");
        else {
          const http = await broker.listenHttp(":0");
          const [method, path, body] = how === "removed in bulk"
            ? ["POST", "bulk-delete", JSON.stringify({ users: ["jane"] })] as const
            : ["DELETE", "jane", null] as const;
          const headers = { authorization: `Basic ${btoa("guest:guest")}` };
          const answer = await fetch(`${http}/api/users/${path}`, { method, headers, body });
          assert.equal(answer.status, 204, await answer.text());
        }
        channel.publish("", "q", "too late");
        await closed(jane);
        assert.equal(last(jane), "connection.close 320 CONNECTION_FORCED - user 'jane' is deleted");
        const other = await guest.channel();
        assert.equal(await other.get("q"), undefined);
        await jane.close().catch(() => {});
        await guest.close();
      } finally {
        await broker.close();
      }
    });
  }

  for (
    const [scheme, open] of [
      ["amqp", (url: string) => Peer.open(url, { user: "jane", password: "s3cret", vhost: "v" })],
      [
        "stomp",
        (url: string) => StompPeer.open(url, "1.2", { host: "v", login: "jane", passcode: "s3cret" }),
      ],
      [
        "mqtt",
        (url: string) => MqttPeer.open(url, "jane", { userName: "v:jane", password: bytes("s3cret") }),
      ],
    ] as const
  ) {
    for (const deleted of ["user 'jane'", "vhost 'v'"]) {
      it(`users - ${scheme}: the ${deleted} that is deleted during the login ends the connection`, async () => {
        const causes: string[] = [];
        const broker = await Broker.open({
          onEvent: (event) => void (event.type === "disconnected" && causes.push(`${event.cause?.message}`)),
        });
        try {
          broker.core.addVirtualHost("v");
          broker.users.put("jane", "s3cret");
          broker.users.permit("jane", "v", ALL);
          const reserve = broker.reserveConnection.bind(broker);
          broker.reserveConnection = (user, vhost) => {
            const release = reserve(user, vhost);
            if (deleted.startsWith("user")) broker.removeUser(user);
            else broker.removeVirtualHost(vhost.name);
            return release;
          };
          await open(await broker.listen(`${scheme}://127.0.0.1:0`)).catch(() => {});
          await waitFor(() => causes.length > 0);
          assert.match(causes[0]!, new RegExp(`${deleted} is deleted`));
        } finally {
          await broker.close();
        }
      });
    }
  }

  it("users - a permission that is changed or removed affects the next publish of an open channel", async () => {
    const broker = await Broker.open();
    try {
      const url = await broker.listen("amqp://127.0.0.1:0");
      broker.users.put("jane", "s3cret");
      const changes = [
        () => broker.users.permit("jane", "/", { ...ALL, write: "^other$" }),
        () => broker.users.forbid("jane", "/"),
      ];
      for (const change of changes) {
        broker.users.permit("jane", "/", ALL);
        const jane = await Peer.open(url, { user: "jane", password: "s3cret" });
        const channel = await jane.channel();
        await channel.queue("q");
        channel.publish("", "q", "fine");
        await channel.get("q");
        change();
        channel.publish("", "q", "refused");
        await closed(jane);
        assert.match(
          last(jane),
          /^channel.close 403 ACCESS_REFUSED - access to exchange 'amq.default' in vhost/,
        );
        await jane.close();
      }
    } finally {
      await broker.close();
    }
  });

  it("users - guest exists by default and can be omitted", async () => {
    const dir = tempDir();
    try {
      for (const [guest, refusal] of [[true, undefined], [false, "there is no user 'guest'"]] as const) {
        const broker = await Broker.open({ data: dir.file("data"), guest });
        assert.equal(broker.users.authenticate("guest", bytes("guest"), true), refusal);
        await broker.close();
      }
    } finally {
      dir.remove();
    }
  });

  it("users - users, permissions and virtual hosts survive a restart, and removed ones do not return", async () => {
    const dir = tempDir();
    try {
      const data = dir.file("data");
      const permission = { configure: "^jane-", write: ".*", read: ".*" };
      const first = await Broker.open({ data });
      first.users.put("jane", "s3cret", ["monitoring"]);
      first.core.addVirtualHost("other");
      first.core.addVirtualHost("gone");
      first.users.permit("jane", "other", permission);
      first.users.permit("jane", "gone", permission);
      const args = { passive: false, durable: true, exclusive: false, autoDelete: false, arguments: {} };
      first.vhosts.get("gone")!.declareQueue({ ...args, queue: "q" }, first);
      first.removeVirtualHost("gone");
      first.users.remove("guest");
      await first.close();
      const second = await Broker.open({ data });
      assert.deepEqual([...second.users].map(({ name }) => name), ["jane"]);
      assert.equal(second.users.authenticate("jane", bytes("s3cret"), false), undefined);
      assert.deepEqual([...second.users.permissions()], [{ user: "jane", vhost: "other", ...permission }]);
      assert.deepEqual([...second.vhosts.keys()].sort(), ["/", "other"]);
      await second.close();
    } finally {
      dir.remove();
    }
  });
});
