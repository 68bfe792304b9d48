/** Logins by the certificate of a client: SASL EXTERNAL. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectAmqp } from "../../../lib/amqp/client/api/client.ts";
import { LoginRefused } from "../../../lib/broker/amqp/handshake.ts";
import type { BrokerOptions } from "../../../lib/broker/options.ts";
import { Broker } from "../../../lib/broker/server.ts";
import type { TlsOptions } from "../../../lib/transport/stream.ts";
import { type Identity, issue, selfSigned } from "../../support/certificates.ts";
import { waitFor } from "../../support/helpers.ts";

const authority = selfSigned("/CN=Authority");
const server = issue(authority, "/CN=localhost", "server");
const alice = issue(authority, "/C=DE/O=Acme/CN=alice");
const nobody = issue(authority, "/O=Acme/CN=nobody");
const nameless = issue(authority, "/O=Acme");
const required: TlsOptions = { ...server, ca: authority.cert, requireClientCert: true };

const DEFINITIONS = {
  vhosts: [{ name: "/" }],
  users: ["CN=alice,O=Acme,C=DE", "alice", "stranger"].map((name) => ({
    name,
    password_hash: "",
    hashing_algorithm: "rabbit_password_hashing_sha256",
    tags: [],
  })),
  permissions: ["CN=alice,O=Acme,C=DE", "alice"].map((user) => (
    { user, vhost: "/", configure: ".*", write: ".*", read: ".*" }
  )),
};

interface Served extends AsyncDisposable {
  readonly broker: Broker;
  readonly users: string[];
  readonly refused: Error[];
  /** Logs in and returns the user name of the broker, or the error. */
  login(identity: Partial<Identity>, query?: string, account?: string): Promise<string>;
}

async function served(options: BrokerOptions = {}): Promise<Served> {
  const users: string[] = [];
  const refused: Error[] = [];
  const broker = await Broker.open({
    tls: required,
    ...options,
    onEvent(event) {
      if (event.type === "connected") users.push(event.user);
      if (event.type === "refused") refused.push(event.error);
    },
  });
  broker.loadDefinitions(DEFINITIONS);
  const url = await broker.listen("amqps://127.0.0.1:0");
  return {
    broker,
    users,
    refused,
    async login(identity, query = "auth_mechanism=external", account = "") {
      const before = users.length;
      try {
        const at = `${url.replace("//", `//${account}`)}/?${query}`;
        const client = await connectAmqp(at, { tls: { ca: authority.cert, ...identity } });
        await client.declareQueue("q");
        await client.close();
      } catch (error) {
        return `${(error as Error).name}: ${(error as Error).message}`;
      }
      await waitFor(() => users.length > before);
      return users.at(-1)!;
    },
    [Symbol.asyncDispose]: () => broker.close(),
  };
}

describe("broker, logins by certificate", () => {
  it("EXTERNAL - the subject is the user name, and the user needs no password", async () => {
    await using one = await served();
    assert.equal(await one.login(alice), "CN=alice,O=Acme,C=DE");
    assert.match(await one.login(nobody), /^RefusedError: Login refused with the client certificate/);
    const refusal = await waitFor(() => one.refused[0]);
    assert.ok(refusal instanceof LoginRefused);
    assert.match(
      refusal.message,
      /^ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL\./,
    );
    assert.equal(refusal.reason, "there is no user 'CN=nobody,O=Acme'");
    assert.deepEqual(one.broker.core.counters.logins.get("amqp091"), { failed: 1, succeeded: 1 });
  });

  it("EXTERNAL - the common name can be the user name", async () => {
    await using one = await served({ certLoginFrom: "common_name" });
    assert.equal(await one.login(alice), "alice");
    assert.match(await one.login(nameless), /^RefusedError: /);
    const refusal = await waitFor(() => one.refused[0]);
    assert.match((refusal as LoginRefused).reason, /has no common name/);
  });

  it("EXTERNAL - a user without permissions for the virtual host is refused", async () => {
    await using one = await served({ certLoginFrom: "common_name" });
    assert.match(
      await one.login(issue(authority, "/CN=stranger")),
      /^RefusedError: .*no access to virtual host/,
    );
  });

  it("EXTERNAL - other mechanisms need the password, with a certificate too", async () => {
    await using one = await served({ certLoginFrom: "common_name" });
    one.broker.users.put("alice", "");
    for (const password of ["", ":", ":x"]) {
      assert.match(
        await one.login(alice, "auth_mechanism=plain", `alice${password}@`),
        /^RefusedError: /,
        password,
      );
    }
    one.broker.users.put("alice", "s3cret");
    assert.equal(await one.login(nobody, "auth_mechanism=plain", "alice:s3cret@"), "alice");
    assert.equal(await one.login(alice), "alice");
  });

  it("EXTERNAL - is not offered without a verified certificate", async () => {
    for (const tls of [server, { ...server, ca: authority.cert }]) {
      await using one = await served({ tls });
      assert.match(
        await one.login(alice),
        /^IncompatiblePeerError: .*does not offer the authentication mechanism EXTERNAL: it offers PLAIN, AMQPLAIN$/,
      );
    }
    await using one = await served();
    const plain = await one.broker.listen("amqp://127.0.0.1:0");
    await assert.rejects(connectAmqp(`${plain}/?auth_mechanism=external`), /does not offer .* EXTERNAL/);
    assert.match(
      await one.login({}),
      /^UnreachableError: .* \(the server may require a client certificate, or another one\)$/,
    );
    await waitFor(() => one.refused.some(({ message }) => /has no certificate/.test(message)));
    assert.deepEqual(one.users, []);
  });
});
