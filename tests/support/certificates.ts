/** Certificates of an authority of our own, made by openssl. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { tempDir } from "./helpers.ts";

/** A certificate with its private key, in PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8"];
const LOCALHOST = "DNS:localhost,IP:127.0.0.1";
const CLIENT = "extendedKeyUsage=clientAuth";
const AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";

/** Makes a self-signed certificate, as `openssl req -x509` does by default. */
export function selfSigned(subject: string): Identity {
  using dir = tempDir();
  const out = ["-keyout", dir.file("key"), "-out", dir.file("cert")];
  execFileSync("openssl", ["req", "-x509", ...NEW_KEY, "-days", "2", "-subj", subject, ...out], {
    stdio: "ignore",
  });
  return read(dir.file("cert"), dir.file("key"));
}

/** Makes a certificate of version 1, which has no extensions; undefined if this openssl makes none. */
export function ofVersion1(issuer: Identity, subject: string): Identity | undefined {
  using dir = tempDir();
  const { cert, key } = issuer;
  fs.writeFileSync(dir.file("ca"), cert + key);
  request(dir.file, subject);
  execFileSync(
    "openssl",
    [
      "x509",
      "-req",
      "-in",
      dir.file("csr"),
      "-CA",
      dir.file("ca"),
      "-set_serial",
      "7",
      "-out",
      dir.file("cert"),
    ],
    { stdio: "ignore" },
  );
  const text = execFileSync("openssl", ["x509", "-in", dir.file("cert"), "-noout", "-text"], {
    encoding: "utf8",
  });
  return /Version: 1/.test(text) ? read(dir.file("cert"), dir.file("key")) : undefined;
}

/** The dates of a certificate, `20400101000000Z` for example. Default: from yesterday to tomorrow. */
export interface Validity {
  readonly from?: string;
  readonly to?: string;
}

/** Makes a certificate that `issuer` signs. Its chain is not included. @param names those of a server */
export function issue(
  issuer: Identity,
  subject: string,
  use: "client" | "server" | "authority" = "client",
  { from = date(-1), to = date(1) }: Validity = {},
  names: string = LOCALHOST,
): Identity {
  using dir = tempDir();
  fs.writeFileSync(dir.file("ca"), issuer.cert);
  fs.writeFileSync(dir.file("ca.key"), issuer.key);
  fs.writeFileSync(dir.file("index"), "");
  fs.writeFileSync(dir.file("serial"), `0${randomBytes(8).toString("hex").slice(1)}\n`);
  const server = `subjectAltName=${names}\nextendedKeyUsage=serverAuth`;
  fs.writeFileSync(dir.file("extensions"), { client: CLIENT, server, authority: AUTHORITY }[use]);
  fs.writeFileSync(
    dir.file("config"),
    `[ca]\ndefault_ca=d\n[d]\ndatabase=${dir.file("index")}\nserial=${
      dir.file("serial")
    }\nnew_certs_dir=${dir.path}\n` +
      "default_md=sha256\npolicy=p\n[p]\ncommonName=optional\n",
  );
  request(dir.file, subject);
  const options = ["ca", "-batch", "-notext", "-preserveDN", "-config", dir.file("config")];
  const signer = ["-cert", dir.file("ca"), "-keyfile", dir.file("ca.key")];
  const files = ["-extfile", dir.file("extensions"), "-in", dir.file("csr"), "-out", dir.file("cert")];
  execFileSync("openssl", [...options, ...signer, ...files, "-startdate", from, "-enddate", to], {
    stdio: "ignore",
  });
  return read(dir.file("cert"), dir.file("key"));
}

function request(file: (name: string) => string, subject: string): void {
  execFileSync(
    "openssl",
    ["req", "-new", ...NEW_KEY, "-subj", subject, "-keyout", file("key"), "-out", file("csr")],
    { stdio: "ignore" },
  );
}

function read(cert: string, key: string): Identity {
  return { cert: fs.readFileSync(cert, "utf8"), key: fs.readFileSync(key, "utf8") };
}

function date(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, "");
}
