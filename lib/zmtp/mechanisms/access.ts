/** Handlers that let in who is on a list. */
import { createHash, timingSafeEqual } from "node:crypto";
import { text, utf8 } from "../bytes.ts";
import { sha512Crypt } from "./sha512_crypt.ts";
import type { ZapHandler } from "./zap.ts";
import { encodeZ85 } from "./z85.ts";

/** Lets in the CURVE clients with these public keys; the user id is the key in Z85. */
export function allowKeys(publicKeys: Iterable<Uint8Array>): ZapHandler {
  const allowed = new Set(Array.from(publicKeys, encodeZ85));
  return ({ mechanism, credentials }) => {
    if (mechanism !== "CURVE") return { status: 400, text: `the list is for CURVE, not ${mechanism}` };
    const key = encodeZ85(credentials[0]!);
    if (allowed.has(key)) return { status: 200, userId: key };
    return { status: 400, text: `the client's public key ${key} is not allowed` };
  };
}

/** What a hash begins with. */
const HASHED = "$6$";

/** Passwords by user name, in clear text or as `$6$salt$hash`, which `openssl passwd -6` makes. */
export type PlainUsers = ReadonlyMap<string, string>;

/** Lets in the PLAIN clients with these user names and passwords; the user id is the user name. */
export function allowUsers(users: PlainUsers): ZapHandler {
  // Everybody takes as long, whether known or not and in whatever form the password is, or names could be found out.
  const hashed = [...users.values()].find((password) => password.startsWith(HASHED));
  const decoy = hashed ?? "";
  return ({ mechanism, credentials }) => {
    if (mechanism !== "PLAIN") return { status: 400, text: `the list is for PLAIN, not ${mechanism}` };
    const name = text(credentials[0]!);
    const expected = users.get(name);
    const matches = isPassword(credentials[1]!, expected ?? decoy);
    if (hashed !== undefined && expected?.startsWith(HASHED) === false) isPassword(credentials[1]!, hashed);
    if (matches && expected !== undefined) return { status: 200, userId: name };
    return { status: 400, text: `the user name '${name}' or its password is wrong` };
  };
}

/**
 * Reads a file of users: `name:password` or `name:$6$salt$hash` a line; `#` begins a comment.
 *
 * @throws {RangeError} a line is malformed; the message does not show it
 */
export function parseUsers(file: string): PlainUsers {
  const users = new Map<string, string>();
  file.split(/\r?\n/).forEach((line, index) => {
    if (line.trim() === "" || line.startsWith("#")) return;
    const at = line.indexOf(":");
    if (at < 1) throw new RangeError(`Line ${index + 1} is not name:password`);
    const name = line.slice(0, at);
    if (users.has(name)) throw new RangeError(`Line ${index + 1} names '${name}' a second time`);
    const password = line.slice(at + 1);
    if (/^\$(?!6\$)\w+\$/.test(password)) {
      throw new RangeError(
        `Line ${index + 1} has a hash of another kind than $6$ (openssl passwd -6 makes that)`,
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

/** Makes all texts equally long, so that nothing is learned of the length either. */
function digest(value: Uint8Array): Uint8Array {
  return createHash("sha256").update(value).digest();
}
