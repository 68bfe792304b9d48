/** SIGHUP reads certificates again in each server that has them, and ends no server. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import tls from "node:tls";
import { connectAmqp } from "../../lib/amqp/client/api/client.ts";
import { type Identity, issue, selfSigned } from "../support/certificates.ts";
import { deadline, tempDir, waitFor } from "../support/helpers.ts";
import { start, target, test } from "../support/mqcat.ts";
import { freshCertificate } from "../support/stream_adapters.ts";

/** The fingerprint of the certificate of a server. */
function fingerprint(endpoint: string): Promise<string> {
  const port = Number(/:(\d+)\b(?!.*:\d)/.exec(endpoint)![1]);
  return deadline(
    new Promise((resolve, reject) => {
      const socket = tls.connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.on("error", reject);
    }),
    10_000,
    "the TLS connection",
  );
}

const SERVERS: string[][] = [
  ["queue", "serve", "amqps://127.0.0.1:0", "--memory"],
  ["echo-server", "tls://127.0.0.1:0"],
  ["pull", "wss://127.0.0.1:0"],
  ["pub", "wss://127.0.0.1:0"],
];

describe("SIGHUP", () => {
  for (const args of SERVERS) {
    test(`${args.join(" ")} - reads the certificate again; files that do not fit are reported`, async () => {
      using dir = tempDir();
      const [cert, key] = [dir.file("cert.pem"), dir.file("key.pem")];
      const write = (pair: { cert: string; key: string }) => {
        fs.writeFileSync(cert, pair.cert);
        fs.writeFileSync(key, pair.key);
      };
      const [one, two] = [freshCertificate(), freshCertificate()];
      write(one);
      using server = start([...args, "--cert", cert, "--key", key], { stdin: "", open: true });
      const endpoint = await server.readyEndpoint();
      const before = await fingerprint(endpoint);
      write(two);
      server.kill("SIGHUP");
      await server.waitForStderr(/read '.*cert\.pem' again/);
      const after = await fingerprint(endpoint);
      assert.notEqual(after, before);
      fs.writeFileSync(key, one.key);
      server.kill("SIGHUP");
      await server.waitForStderr(
        /private key does not belong to the certificate; the certificates stay as they were/i,
      );
      fs.rmSync(cert);
      server.kill("SIGHUP");
      await server.waitForStderr(/--cert '.*cert\.pem'.*; the certificates stay as they were/);
      assert.equal(await fingerprint(endpoint), after);
      assert.equal(server.code, undefined);
      server.kill("SIGTERM");
      assert.equal((await server.exit()).code, 143, server.stderr);
    });
  }

  test("queue serve --cacert - reads the authorities of clients again", async () => {
    using dir = tempDir();
    const [first, second] = [selfSigned("/CN=first"), selfSigned("/CN=second")];
    const server = issue(first, "/CN=localhost", "server");
    const clients = [first, second].map((authority) => issue(authority, "/O=Acme/CN=alice"));
    const files = {
      cert: server.cert,
      key: server.key,
      cacert: first.cert,
      "users-file": "CN=alice,O=Acme:\n",
    };
    const options = Object.entries(files).flatMap(([name, text]) => {
      fs.writeFileSync(dir.file(name), text);
      return [`--${name}`, dir.file(name)];
    });
    using serving = start(["queue", "serve", "amqps://127.0.0.1:0", "--memory", ...options]);
    const url = `${await serving.readyEndpoint()}/?auth_mechanism=external`;
    const logsIn = async (client: Identity) => {
      try {
        const connection = await connectAmqp(url, { tls: { ca: first.cert, ...client } });
        await connection.close();
        return true;
      } catch (error) {
        assert.match(String(error), /may require a client certificate, or another one/);
        return false;
      }
    };
    assert.deepEqual([await logsIn(clients[0]!), await logsIn(clients[1]!)], [true, false]);
    // Node's server ends such a handshake without a word.
    if (target !== "node") {
      await serving.waitForStderr(
        /refused 127\.0\.0\.1:\d+: the client's certificate .*not accepted: no trusted authority/,
      );
    }
    fs.writeFileSync(dir.file("cacert"), second.cert);
    serving.kill("SIGHUP");
    await serving.waitForStderr(/read '.*cert' again/);
    assert.deepEqual([await logsIn(clients[0]!), await logsIn(clients[1]!)], [false, true]);
    fs.writeFileSync(
      dir.file("cacert"),
      "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
    );
    serving.kill("SIGHUP");
    await serving.waitForStderr(
      /certificate authorities cannot be read.*; the certificates stay as they were/,
    );
    assert.equal(await logsIn(clients[1]!), true);
  });

  for (const args of [["queue", "serve", ":0", "--memory"], ["echo-server", "tcp://127.0.0.1:0"]]) {
    test(`${args.join(" ")} - without certificates continues`, async () => {
      using server = start(args);
      const endpoint = await server.readyEndpoint();
      server.kill("SIGHUP");
      const port = /:(\d+)\b(?!.*:\d)/.exec(endpoint)![1];
      using client = start(["probe", `tcp://127.0.0.1:${port}`, "-w", "5s"]);
      await client.exit();
      await waitFor(() => server.code === undefined);
      server.kill("SIGTERM");
      assert.equal((await server.exit()).code, 143, server.stderr);
    });
  }
});
