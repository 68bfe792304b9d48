import { X509Certificate } from "node:crypto";
import type tls from "node:tls";
import { AuthError, messageOf } from "../../errors.ts";

/** Whether the runtime leaves the decision about a certificate to the program, see `ClientCertificates`. */
const leavesDecision = "Deno" in globalThis;

/** The number of certificates whose clients may resume a session. */
const MAX_VERIFIED = 10_000;

const VERSION_1 = "it is of version 1: a certificate needs extensions, such as extendedKeyUsage=clientAuth";

/** The meaning of the runtime's codes. */
const REASONS: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "no trusted authority has issued it for clients",
  UNABLE_TO_GET_ISSUER_CERT: "no trusted authority has issued it",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "no trusted authority has issued it",
  SELF_SIGNED_CERT_IN_CHAIN: "no trusted authority has issued it",
  DEPTH_ZERO_SELF_SIGNED_CERT: "it is self-signed",
  CERT_HAS_EXPIRED: "it has expired, or a certificate of its chain has",
  CERT_NOT_YET_VALID: "it is not valid yet, or a certificate of its chain is not",
  INVALID_PURPOSE: "it is not for clients, or a certificate of its chain is not for authorities",
};

/**
 * The clients' certificates at one listener, under the same trusted authorities. The runtime checks that the client has
 * the private key, and the chain of the certificate; this class decides by the result.
 *
 * Deno completes the handshake of a client whose certificate it does not trust, and leaves the decision to the program. It then lets this client resume its session, and checks nothing again. So a resumed session counts only if this
 * listener has seen a full handshake with the same certificate. For a certificate of version 1, Deno does not check that
 * the client has the private key.
 */
export class ClientCertificates {
  /** Certificates that passed a full handshake, by fingerprint, the oldest first. */
  readonly #verified = new Set<string>();

  /**
   * Checks the certificate of a client after the handshake.
   *
   * @returns the certificate in DER
   * @throws {AuthError} the client has no certificate, or one that is not accepted
   */
  check(socket: tls.TLSSocket): Uint8Array {
    const der = rawOf(socket);
    if (der === undefined) throw missing();
    let certificate: X509Certificate;
    try {
      certificate = new X509Certificate(der);
    } catch (error) {
      throw new AuthError(`The client's certificate cannot be read: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const problem = dateProblem(certificate) ?? (isVersion3(der) ? undefined : VERSION_1) ??
      chainProblem(socket) ?? this.#resumptionProblem(socket, certificate.fingerprint256);
    if (problem !== undefined) throw refused(problem, certificate);
    return new Uint8Array(der);
  }

  #resumptionProblem(socket: tls.TLSSocket, fingerprint: string): string | undefined {
    if (socket.isSessionReused() !== false) {
      return this.#verified.has(fingerprint) ? undefined : "its resumed session did not begin with it here";
    }
    this.#verified.delete(fingerprint);
    this.#verified.add(fingerprint);
    if (this.#verified.size > MAX_VERIFIED) {
      const [oldest] = this.#verified;
      this.#verified.delete(oldest!);
    }
    return undefined;
  }
}

/**
 * Returns the error of a failed handshake if the certificate of the client is the reason, or undefined for any other
 * reason, such as a client that hung up.
 */
export function certificateFailure(error: Error): AuthError | undefined {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (code.includes("PEER_DID_NOT_RETURN_A_CERTIFICATE")) return missing();
  if (!/CERT|ISSUER|VERIFY|PURPOSE|KEY_USAGE|INVALID_CA/.test(code) || /ALERT/.test(code)) return undefined;
  return refused(explain(code), undefined, error);
}

/** The runtime's verdict on the chain of the certificate, which is good by default for a resumed session. */
function chainProblem(socket: tls.TLSSocket): string | undefined {
  if (!leavesDecision) return socket.authorized ? undefined : explain(socket.authorizationError);
  // The handle that a `tls.Server` asks, too. The empty string stands for no error, as null does in Node.
  const { ssl } = socket as unknown as { ssl?: { verifyError?: () => unknown } };
  const code = ssl?.verifyError?.();
  return code === "" || code === null ? undefined : explain(code);
}

function rawOf(socket: tls.TLSSocket): Uint8Array | undefined {
  const { raw } = (socket.getPeerCertificate() ?? {}) as { raw?: Uint8Array };
  return raw === undefined || raw.length === 0 ? undefined : raw;
}

function missing(): AuthError {
  return new AuthError("The client has no certificate, and this listener requires one");
}

function refused(problem: string, certificate?: X509Certificate, cause?: Error): AuthError {
  const subject = certificate === undefined ? "" : ` '${certificate.subject.replace(/\n/g, ", ")}'`;
  return new AuthError(`The client's certificate${subject} is not accepted: ${problem}`, { cause });
}

function explain(code: unknown): string {
  const text = code instanceof Error ? (code as NodeJS.ErrnoException).code ?? code.message : String(code);
  return REASONS[text] ?? text;
}

/** Checks the dates, which the runtime does not check for an authority's own certificate or for a resumed session. */
function dateProblem({ validFrom, validTo }: X509Certificate): string | undefined {
  const now = Date.now();
  // A date that cannot be read compares as false, and is refused.
  if (!(Date.parse(validTo) >= now)) return `it has expired (${validTo})`;
  if (!(Date.parse(validFrom) <= now)) return `it is not valid yet (${validFrom})`;
  return undefined;
}

/** Whether a certificate in DER begins with the version 3 (RFC 5280, 4.1). */
function isVersion3(der: Uint8Array): boolean {
  const inTbs = afterHeader(der, afterHeader(der, 0));
  return [0xa0, 3, 2, 1, 2].every((byte, at) => der[inTbs + at] === byte);
}

/** Returns the position after the tag and the length of an element. */
function afterHeader(der: Uint8Array, at: number): number {
  const length = der[at + 1]!;
  return at + 2 + (length > 0x80 ? length - 0x80 : 0);
}
