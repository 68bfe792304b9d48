import fs from "node:fs";
import type { CertLoginFrom } from "../../lib/broker/core/users/certificate_name.ts";
import type { TlsOptions } from "../../lib/transport/stream.ts";
import { TlsReload } from "../../lib/transport/stream.ts";
import type { Session } from "../app/session.ts";
import { flag, group, option, rare } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import { word } from "../app/values.ts";

const identity = {
  cert: option("--cert <file>", "our certificate, with its chain, in PEM", word),
  key: option("--key <file>", "the private key of --cert, in PEM", word),
};

/** The certificate of a TLS server. */
export const tlsServer = rare(group("Security", identity));

/** The certificate of a broker, and those of its clients. */
export const tlsBroker = rare(group("Security", {
  ...identity,
  cacert: option(
    "--cacert <file>",
    "require every TLS client to have a certificate of an authority in this file; clients of amqps (with EXTERNAL) and stomps can log in with its name",
    word,
  ),
  certLoginFrom: option(
    "--cert-login-from <part>",
    "the part of a client certificate that is the user name: distinguished_name or common_name (default: distinguished_name)",
    loginPart,
  ),
}));

/** The trusted authorities and the certificate of a TLS client. */
export const tlsClient = rare(group("Security", {
  insecure: flag("-k, --insecure", "accept any certificate of a TLS server"),
  cacert: option(
    "--cacert <file>",
    "trust the certificate authorities in this file instead of those of the system",
    word,
  ),
  ...identity,
}));

function loginPart(value: string): CertLoginFrom {
  if (value === "distinguished_name" || value === "common_name") return value;
  throw new Error("expected distinguished_name or common_name");
}

/** The values of the TLS options. */
export interface TlsValues {
  readonly insecure?: boolean | undefined;
  readonly cacert?: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/**
 * Reads the certificates and keys of the options.
 *
 * @throws {UsageError} a file cannot be read, or a certificate or key has no counterpart
 */
export function readTls({ insecure, cacert, cert, key }: TlsValues): TlsOptions {
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("--cert and --key belong together: give both, or neither");
  }
  return {
    ...(insecure ? { insecure } : {}),
    ...(cacert === undefined ? {} : { ca: read("--cacert", cacert) }),
    ...(cert === undefined ? {} : { cert: read("--cert", cert) }),
    ...(key === undefined ? {} : { key: read("--key", key) }),
  };
}

/**
 * The same for a server: SIGHUP reads the files again, for new connections.
 *
 * @param requireClientCert whether clients need a certificate of an authority in `--cacert`
 * @throws {UsageError} a file cannot be read, or one of a pair is missing
 */
export function reloadedTls(session: Session, values: TlsValues, requireClientCert = false): TlsOptions {
  const options = { ...readTls(values), requireClientCert };
  if (values.cert === undefined) return options;
  const reload = new TlsReload();
  session.onReload(() => {
    try {
      reload.replace(readTls(values));
      session.reporter.info(`read '${values.cert}' again`);
    } catch (error) {
      session.reporter.error(`${phrase(error)}; the certificates stay as they were`);
    }
  });
  return { ...options, reload };
}

function read(name: string, path: string): string {
  let text: string;
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${name} '${path}': ${phrase(error)}`);
  }
  if (!text.includes("-----BEGIN ")) {
    throw new UsageError(`${name} '${path}': it is not a PEM file (no line has -----BEGIN)`);
  }
  return text;
}
