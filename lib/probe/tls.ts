import type { X509Certificate } from "node:crypto";
import type { HostEndpoint } from "../transport/endpoint.ts";
import { inspectTls, type PeerIdentity } from "../transport/tls_socket.ts";
import { ProbeConnection } from "./probe_connection.ts";
import type { Certificate, TlsService } from "./service.ts";

/** Tries TLS; resolves to undefined when the peer does not speak it. */
export async function tryTls(
  { host, port }: HostEndpoint,
  ms: number,
): Promise<{ connection: ProbeConnection; service: TlsService } | undefined> {
  try {
    const { stream, identity } = await inspectTls(
      host,
      port,
      AbortSignal.timeout(Math.max(1, Math.ceil(ms))),
    );
    return { connection: new ProbeConnection(stream), service: describe(identity) };
  } catch {
    return undefined;
  }
}

function describe({ version, certificate, problem }: PeerIdentity): TlsService {
  return {
    protocol: "tls",
    version,
    certificate: describeCertificate(certificate),
    ...(problem === undefined ? {} : { problem: explain(problem) }),
  };
}

function describeCertificate(certificate: X509Certificate): Certificate {
  const oneLine = (name: string) => name.trim().split("\n").reverse().join(", ");
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    names: (certificate.subjectAltName ?? "").split(", ").filter((name) => name !== "")
      .map((name) => name.replace(/^(DNS|IP Address):/, "")),
    validFrom: new Date(certificate.validFrom).toISOString(),
    validTo: new Date(certificate.validTo).toISOString(),
  };
}

/** Turns OpenSSL's code for a problem into words. */
function explain(problem: string): string {
  if (/SELF_SIGNED/.test(problem)) return "it is self-signed";
  if (/UNABLE_TO_(GET|VERIFY)/.test(problem)) return "its authority is not trusted here";
  if (/EXPIRED/.test(problem)) return "it has expired";
  if (/NOT_YET/.test(problem)) return "it is not valid yet";
  return problem;
}
