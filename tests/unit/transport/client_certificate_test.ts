/** Listeners that require certificates of clients. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import fs from "node:fs";
import { describe, it } from "node:test";
import { AuthError, EndpointError } from "../../../lib/errors.ts";
import { type ByteStream, type TlsOptions, TlsReload } from "../../../lib/transport/stream.ts";
import { connect, listen } from "../../../lib/transport/transport.ts";
import { type Identity, issue, ofVersion1, selfSigned } from "../../support/certificates.ts";
import { deadline, tempDir, waitFor } from "../../support/helpers.ts";

const authority = selfSigned("/CN=Authority");
const other = selfSigned("/CN=Other authority");
const server = issue(authority, "/CN=localhost", "server");
const alice = issue(authority, "/O=Acme/CN=alice");
const intermediate = issue(authority, "/CN=Intermediate", "authority");
const bob = issue(intermediate, "/CN=bob");
const pinned = selfSigned("/CN=pinned");
const required: TlsOptions = { ...server, ca: authority.cert, requireClientCert: true };

/** A listener, and what it did with its clients. */
interface Watched extends AsyncDisposable {
  readonly endpoint: string;
  readonly accepted: ByteStream[];
  readonly refused: [remote: string, error: Error][];
}

async function watched(options: TlsOptions = required): Promise<Watched> {
  const accepted: ByteStream[] = [];
  const refused: [string, Error][] = [];
  const listener = await listen("tls://127.0.0.1:0", (stream) => void accepted.push(stream), {
    tls: options,
    onRefused: (remote, error) => void refused.push([remote, error]),
  });
  return {
    endpoint: listener.endpoint,
    accepted,
    refused,
    async [Symbol.asyncDispose]() {
      for (const stream of accepted) stream.close();
      await listener.close();
    },
  };
}

/** Connects with a certificate. With TLS 1.3 the client learns of a refusal only after its handshake. */
async function attempt(listener: Watched, identity: Partial<Identity>): Promise<string> {
  const before = listener.accepted.length + listener.refused.length;
  const connecting = connect(listener.endpoint, { tls: { ca: authority.cert, ...identity } });
  const closing = connecting.then((stream) => stream, () => undefined);
  await waitFor(() => listener.accepted.length + listener.refused.length > before);
  (await deadline(closing))?.close();
  if (listener.refused.length === 0) {
    const der = listener.accepted.at(-1)!.peerCertificate;
    return der === undefined ? "accepted" : `accepted ${new X509Certificate(der).subject.replace("\n", ",")}`;
  }
  const [remote, error] = listener.refused.pop()!;
  assert.match(remote, /^tls:\/\/127\.0\.0\.1:\d+$/);
  assert.ok(error instanceof AuthError, String(error));
  return error.message;
}

const fakeIssuer = issue(authority, "/CN=not an authority");
const CASES: Readonly<Record<string, [identity: Partial<Identity>, result: RegExp]>> = {
  "a certificate of the authority": [alice, /^accepted O=Acme,CN=alice$/],
  "a chain with an intermediate authority": [
    { ...bob, cert: bob.cert + intermediate.cert },
    /^accepted CN=bob$/,
  ],
  "a self-signed certificate that is trusted itself": [pinned, /^accepted CN=pinned$/],
  "no certificate": [{}, /^The client has no certificate, and this listener requires one$/],
  "an intermediate authority that is not sent": [bob, /not accepted: no trusted authority has issued it/],
  "another authority": [
    issue(other, "/O=Acme/CN=alice"),
    /not accepted: no trusted authority has issued it/,
  ],
  "a self-signed certificate": [selfSigned("/CN=alice"), /not accepted: it is self-signed/],
  "an expired certificate": [
    issue(authority, "/CN=late", "client", { from: "20200101000000Z", to: "20200201000000Z" }),
    /not accepted: it has expired/,
  ],
  "a certificate of the future": [
    issue(authority, "/CN=early", "client", { from: "20400101000000Z", to: "20410101000000Z" }),
    /not accepted: it is not valid yet/,
  ],
  "a certificate for servers": [server, /not accepted: (no trusted authority|it is not for clients)/],
  "an issuer that is no authority": [
    (({ cert, key }) => ({ cert: cert + fakeIssuer.cert, key }))(issue(fakeIssuer, "/CN=mallory")),
    /not accepted: (no trusted authority|it is not for clients)/,
  ],
};

describe("transport - certificates of clients", () => {
  it("tls - each certificate is accepted or refused, and refusals are reported", async () => {
    await using listener = await watched({ ...required, ca: authority.cert + pinned.cert });
    for (const [name, [identity, result]] of Object.entries(CASES)) {
      assert.match(await attempt(listener, identity), result, name);
    }
  });

  it("tls - a certificate of version 1 is refused, even if it is trusted itself", async (t) => {
    const old = ofVersion1(authority, "/CN=old");
    if (old === undefined) return t.skip?.("openssl makes no certificates of version 1");
    await using listener = await watched({ ...required, ca: authority.cert + old.cert });
    assert.match(await attempt(listener, old), /not accepted: it is of version 1: /);
  });

  it("tls - without requireClientCert no certificate is asked for or kept", async () => {
    await using listener = await watched({ ...server, ca: authority.cert });
    assert.deepEqual([await attempt(listener, alice), await attempt(listener, {})], ["accepted", "accepted"]);
  });

  it("tls - a listener without authorities is an error, also at a reload", async () => {
    const options = { ...server, requireClientCert: true };
    const endpoint = "tls://127.0.0.1:0";
    const words = /cannot verify the certificates of clients without certificate authorities/i;
    await assert.rejects(listen(endpoint, () => {}, { tls: options }), (error: unknown) => {
      assert.ok(error instanceof EndpointError, String(error));
      assert.match(error.message, words);
      return true;
    });
    const broken = authority.cert + alice.cert.replace(/\n.{20}/, "\n");
    await assert.rejects(
      listen(endpoint, () => {}, { tls: { ...options, ca: broken } }),
      /authorities cannot be read as PEM/,
    );
    const reload = new TlsReload();
    await using listener = await watched({ ...required, reload });
    assert.throws(() => reload.replace(server), words);
    assert.match(await attempt(listener, {}), /has no certificate/);
  });

  it("tls - reload replaces the authorities for new clients", async () => {
    const reload = new TlsReload();
    await using listener = await watched({ ...required, reload });
    const eve = issue(other, "/CN=eve");
    assert.match(await attempt(listener, alice), /^accepted/);
    // The listener keeps its requirement, whatever the new options say.
    reload.replace({ ...server, ca: other.cert });
    assert.match(await attempt(listener, alice), /not accepted: no trusted authority/);
    assert.match(await attempt(listener, eve), /^accepted CN=eve$/);
    assert.match(await attempt(listener, {}), /has no certificate/);
  });

  for (const version of ["tls1_2", "tls1_3"]) {
    it(`tls - a session of another listener does not replace a trusted certificate (${version})`, async () => {
      using dir = tempDir();
      const eve = issue(other, "/CN=eve");
      fs.writeFileSync(dir.file("eve"), eve.cert + eve.key);
      await using lax = await watched({ ...required, ca: other.cert });
      await using strict = await watched();
      const args = [`-${version}`, "-cert", dir.file("eve"), "-key", dir.file("eve")];
      assert.match(await viaOpenssl(lax, [...args, "-sess_out", dir.file("session")]), /^New/);
      await waitFor(() => lax.accepted.length === 1);
      assert.ok(fs.existsSync(dir.file("session")));
      await viaOpenssl(strict, [...args, "-sess_in", dir.file("session")]);
      await waitFor(() => strict.refused.length === 1);
      assert.match(strict.refused[0]![1].message, /not accepted/);
      assert.equal(strict.accepted.length, 0);
      // At its own listener the session is good.
      await viaOpenssl(lax, [...args, "-sess_in", dir.file("session")]);
      await waitFor(() => lax.accepted.length === 2);
    });
  }
});

/** Connects with openssl until the server has sent a byte or has hung up; resolves to `New` or `Reused` and the cipher. */
async function viaOpenssl(listener: Watched, args: readonly string[]): Promise<string> {
  const to = listener.endpoint.slice("tls://".length);
  const client = spawn("openssl", ["s_client", "-connect", to, "-ign_eof", ...args], { stdio: "pipe" });
  const before = listener.accepted.length;
  let output = "";
  client.stdout.setEncoding("utf8").on("data", (text: string) => output += text);
  const exit = new Promise((resolve) => client.on("close", resolve));
  const finished = exit.then(() => true);
  await waitFor(async () =>
    listener.accepted.length > before || await Promise.race([finished, Promise.resolve(false)])
  );
  // The server's session tickets arrive before its data.
  const stream = listener.accepted[before];
  stream?.attach({ onData() {}, onEnd() {}, onDrain: () => stream.end() });
  stream?.write(new TextEncoder().encode("hello\n"));
  await deadline(exit);
  return /^(New|Reused), .*$/m.exec(output)?.[0] ?? "";
}
