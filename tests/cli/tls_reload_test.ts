/** SIGHUP reads certificates again in each server that has them, and ends no server. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import tls from "node:tls";
import { deadline, tempDir, waitFor } from "../support/helpers.ts";
import { start, test } from "../support/mqcat.ts";
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
