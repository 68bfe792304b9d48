/** Evaluates the security options of the ZeroMQ commands. */
import fs from "node:fs";
import { allowKeys, allowUsers, parseUsers } from "../../lib/zmtp/mechanisms/access.ts";
import { curveClient, type CurveKeyPair, curveServer } from "../../lib/zmtp/mechanisms/curve.ts";
import { parseKeyFile } from "../../lib/zmtp/mechanisms/key_file.ts";
import type { Mechanism } from "../../lib/zmtp/mechanisms/mechanism.ts";
import { plainClient, plainServer } from "../../lib/zmtp/mechanisms/plain.ts";
import { decodeZ85 } from "../../lib/zmtp/mechanisms/z85.ts";
import type { ZapHandler } from "../../lib/zmtp/mechanisms/zap.ts";
import type { Values } from "../app/command.ts";
import { passwordOf } from "../app/environment.ts";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import type { security } from "./options.ts";

/** The values of the options. */
export type SecurityValues = Values<typeof security>;

/**
 * Returns the mechanism that the options request; undefined when they request none.
 *
 * @throws {UsageError} options contradict each other, an option is missing, or a file is wrong
 */
export function securityOf(session: Session, values: SecurityValues): Mechanism | undefined {
  const { curveServer: isServer, curveServerKey, curveKey, curveAllow, user, passwordFile, plainUsers } =
    values;
  const roles = [
    isServer ? "--curve-server" : "",
    curveServerKey === undefined ? "" : "--curve-server-key",
    user === undefined ? "" : "--user",
    plainUsers === undefined ? "" : "--plain-users",
  ].filter(Boolean);
  if (roles.length > 1) throw new UsageError(`${roles.join(" and ")} are different roles: choose one`);
  const curve = isServer || curveServerKey !== undefined;
  if (curveKey !== undefined && !curve) {
    throw new UsageError(
      "--curve-key needs a role: --curve-server, or --curve-server-key with the server's key",
    );
  }
  if (curveAllow !== undefined && !isServer) {
    throw new UsageError("--curve-allow is for the server: add --curve-server and its --curve-key");
  }
  if (passwordFile !== undefined && user === undefined) {
    throw new UsageError("--password-file is the password of a user: add --user NAME");
  }
  if (isServer) {
    if (curveKey === undefined) {
      throw new UsageError("--curve-server needs --curve-key FILE (make one: mqcat keygen NAME)");
    }
    const keyPair = readPair(session, curveKey);
    if (curveAllow === undefined) return curveServer({ keyPair });
    const handler = reloaded(
      session,
      "--curve-allow",
      curveAllow,
      (text) => {
        const { publicKeys } = parseKeyFile(text);
        if (publicKeys.length === 0) {
          session.reporter.warn(
            `--curve-allow '${curveAllow}': it has no public key, so every client is refused`,
          );
        }
        return allowKeys(publicKeys);
      },
    );
    return curveServer({ keyPair, zap: { handler } });
  }
  if (curveServerKey !== undefined) {
    const keyPair = curveKey === undefined ? undefined : readPair(session, curveKey);
    return curveClient({ serverKey: readServerKey(curveServerKey), keyPair });
  }
  if (plainUsers !== undefined) {
    const handler = reloaded(session, "--plain-users", plainUsers, (text) => allowUsers(parseUsers(text)));
    warnIfOpen(session, "--plain-users", plainUsers, "these passwords");
    return plainServer({ handler });
  }
  return user === undefined ? undefined : plainClient(user, readPassword(session, passwordFile));
}

function readPair(session: Session, path: string): CurveKeyPair {
  const { publicKeys: [publicKey], secretKeys: [secretKey] } = parse("--curve-key", path, parseKeyFile);
  if (secretKey === undefined || publicKey === undefined) {
    throw new UsageError(
      `--curve-key '${path}': it has no ${
        secretKey === undefined ? "secret" : "public"
      } key (mqcat keygen NAME makes a pair, in NAME.key_secret)`,
    );
  }
  warnIfOpen(session, "--curve-key", path, "this secret key");
  return { publicKey, secretKey };
}

/** The mode of a pipe or a device has no meaning. */
function warnIfOpen(session: Session, option: string, path: string, what: string): void {
  const status = fs.statSync(path);
  if (!status.isFile() || (status.mode & 0o077) === 0) return;
  session.reporter.warn(`${option} '${path}': others may read ${what} (chmod 600 it)`);
}

function readServerKey(value: string): Uint8Array {
  if (value.length === 40 && !fs.existsSync(value)) {
    try {
      return decodeZ85(value);
    } catch (error) {
      throw new UsageError(`--curve-server-key '${value}': ${phrase(error)}`);
    }
  }
  if (!fs.existsSync(value)) {
    throw new UsageError(`--curve-server-key '${value}': expected a file, or a key of 40 characters`);
  }
  const { publicKeys } = parse("--curve-server-key", value, parseKeyFile);
  if (publicKeys.length === 1) return publicKeys[0]!;
  throw new UsageError(
    `--curve-server-key '${value}': expected a file with one public key: it has ${publicKeys.length}`,
  );
}

function readPassword(session: Session, path: string | undefined): string {
  if (path !== undefined) {
    const password = read("--password-file", path).replace(/\r?\n$/, "");
    warnIfOpen(session, "--password-file", path, "this password");
    return password;
  }
  const password = passwordOf();
  if (password !== undefined) return password;
  throw new UsageError(
    "--user needs a password: --password-file PATH, or the environment variable MQCAT_PASSWORD",
  );
}

/** A handler from a file that is read again at SIGHUP. If the file is invalid then, the old handler stays. */
function reloaded(
  session: Session,
  option: string,
  path: string,
  handlerOf: (text: string) => ZapHandler,
): ZapHandler {
  let handler = parse(option, path, handlerOf);
  session.onReload(() => {
    try {
      handler = parse(option, path, handlerOf);
      session.reporter.info(`read ${option} '${path}' again`);
    } catch (error) {
      session.reporter.error(`${phrase(error)}; keeping the previous list`);
    }
  });
  return (request) => handler(request);
}

/** @throws {UsageError} the file cannot be read, or is malformed */
function parse<T>(option: string, path: string, parser: (text: string) => T): T {
  const text = read(option, path);
  try {
    return parser(text);
  } catch (error) {
    throw new UsageError(`${option} '${path}': ${phrase(error)}`);
  }
}

function read(option: string, path: string): string {
  try {
    return fs.readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${option} '${path}': ${phrase(error)}`);
  }
}
