/** ZAP handlers that accept the clients on a list. */
import { createHash, timingSafeEqual } from "node:crypto";
import { text, utf8 } from "../bytes.ts";
import { sha512Crypt } from "./sha512_crypt.ts";
import type { ZapHandler } from "./zap.ts";
import { encodeZ85 } from "./z85.ts";

/**
 * Makes a handler that accepts CURVE clients by their public keys. The user id of a client is its key in Z85.
 *
 * @param publicKeys the keys of the accepted clients, 32 bytes each
 * @returns the handler, for the option `zap` of `curveServer`
 * @throws {RangeError} the length of a key is not a multiple of four bytes
 *
 * @example Accept one client
 * ```ts
 * import { allowKeys, curveServer, generateKeyPair } from "../../../mod.ts";
 * const client = await generateKeyPair();
 * const security = curveServer({
 *   keyPair: await generateKeyPair(),
 *   zap: { handler: allowKeys([client.publicKey]) },
 * });
 * console.assert(security.asServer);
 * ```
 */
export function allowKeys(publicKeys: Iterable<Uint8Array>): ZapHandler {
  const allowed = new Set(Array.from(publicKeys, encodeZ85));
  return ({ mechanism, credentials }) => {
    if (mechanism !== "CURVE") {
      return { status: 400, text: `the list is for CURVE clients, not ${mechanism}` };
    }
    const key = encodeZ85(credentials[0]!);
    if (allowed.has(key)) return { status: 200, userId: key };
    return { status: 400, text: `the client's public key ${key} is not allowed` };
  };
}

/** The prefix of a password hash. */
const HASHED = "$6$";

/** Passwords by user name: in clear text, or as a hash `$6$salt$hash`, which `openssl passwd -6` creates. */
export type PlainUsers = ReadonlyMap<string, string>;

/**
 * Makes a handler that accepts PLAIN clients by user name and password. The user id of a client is its user name.
 *
 * @param users the passwords or hashes by user name
 * @returns the handler, for `plainServer`
 *
 * @example Accept the users of a file
 * ```ts
 * import { allowUsers, parseUsers, plainServer } from "../../../mod.ts";
 * const users = parseUsers("jane:s3cret\njoe:hunter2\n");
 * const security = plainServer({ handler: allowUsers(users) });
 * console.assert(security.asServer);
 * ```
 */
export function allowUsers(users: PlainUsers): ZapHandler {
  // The check takes the same time for known and unknown users and for both forms of passwords. Otherwise, a client could
  // find out which names exist.
  const hashed = [...users.values()].find((password) => password.startsWith(HASHED));
  const decoy = hashed ?? "";
  return ({ mechanism, credentials }) => {
    if (mechanism !== "PLAIN") {
      return { status: 400, text: `the list is for PLAIN clients, not ${mechanism}` };
    }
    const name = text(credentials[0]!);
    const expected = users.get(name);
    const matches = isPassword(credentials[1]!, expected ?? decoy);
    if (hashed !== undefined && expected?.startsWith(HASHED) === false) isPassword(credentials[1]!, hashed);
    if (matches && expected !== undefined) return { status: 200, userId: name };
    return { status: 400, text: `the user name '${name}' or its password is wrong` };
  };
}

/**
 * Parses a list of users: one `name:password` or `name:$6$salt$hash` per line. Lines that start with `#` are comments.
 *
 * @param file the text of the file
 * @returns the passwords and hashes by user name
 * @throws {RangeError} a line is malformed, repeats a user, or has an unsupported hash. The message has the number of the
 * line, not its text
 *
 * @example Parse two users
 * ```ts
 * import { parseUsers } from "../../../mod.ts";
 * const users = parseUsers("# staff\njane:s3cret\njoe:hunter2\n");
 * console.assert(users.get("jane") === "s3cret");
 * ```
 */
export function parseUsers(file: string): PlainUsers {
  const users = new Map<string, string>();
  file.split(/\r?\n/).forEach((line, index) => {
    if (line.trim() === "" || line.startsWith("#")) return;
    const at = line.indexOf(":");
    if (at < 1) throw new RangeError(`Line ${index + 1} is not name:password`);
    const name = line.slice(0, at);
    if (users.has(name)) throw new RangeError(`Line ${index + 1} repeats the user '${name}'`);
    const password = line.slice(at + 1);
    if (/^\$(?!6\$)\w+\$/.test(password)) {
      throw new RangeError(
        `Line ${index + 1} has an unsupported password hash: expected $6$, as 'openssl passwd -6' creates`,
      );
    }
    users.set(name, password);
  });
  return users;
}

function isPassword(given: Uint8Array, expected: string): boolean {
  const wanted = expected.startsWith(HASHED) ? utf8(sha512Crypt(given, expected)) : given;
  return timingSafeEqual(digest(wanted), digest(utf8(expected)));
}

/** Hashes a value, so that the comparison does not reveal the length of the password. */
function digest(value: Uint8Array): Uint8Array {
  return createHash("sha256").update(value).digest();
}
