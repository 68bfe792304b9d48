/** Password hashes of Unix with SHA-512, `$6$` (Drepper, "Unix crypt using SHA-256 and SHA-512"). */
import { createHash } from "node:crypto";
import { concat, EMPTY, utf8 } from "../bytes.ts";

const ROUNDS = 5000;
const ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/**
 * Hashes a password with the salt and the number of rounds of an existing hash. The result equals `setting` if the
 * password is correct.
 *
 * @param setting `$6$salt$…` or `$6$rounds=N$salt$…`
 */
export function sha512Crypt(password: Uint8Array, setting: string): string {
  const [, prefix = "", given, saltText = ""] = /^\$6\$(rounds=(\d+)\$)?([^$]{0,16})/.exec(setting) ?? [];
  const rounds = given === undefined ? ROUNDS : Math.min(999_999_999, Math.max(1000, Number(given)));
  const salt = utf8(saltText);
  const inner = sha512(password, salt, password);
  const parts = [password, salt, cycle(inner, password.length)];
  for (let bits = password.length; bits > 0; bits >>= 1) parts.push(bits & 1 ? inner : password);
  let hash = sha512(...parts);
  const p = cycle(sha512(...Array<Uint8Array>(password.length).fill(password)), password.length);
  const s = cycle(sha512(...Array<Uint8Array>(16 + hash[0]!).fill(salt)), salt.length);
  for (let round = 0; round < rounds; round++) {
    const odd = round % 2 === 1;
    hash = sha512(
      odd ? p : hash,
      round % 3 === 0 ? EMPTY : s,
      round % 7 === 0 ? EMPTY : p,
      odd ? hash : p,
    );
  }
  return `$6$${prefix}${saltText}$${encode(hash)}`;
}

function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  return createHash("sha512").update(concat(parts)).digest();
}

/** Repeats `bytes` up to a length of `length`. */
function cycle(bytes: Uint8Array, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => bytes[i % bytes.length]!);
}

/** Encodes groups of three bytes, 21 apart and in rotating order, as four characters each, the lowest 6 bits first. */
function encode(hash: Uint8Array): string {
  let text = "";
  const put = (value: number, count: number) => {
    for (; count > 0; count--, value >>= 6) text += ALPHABET[value & 63];
  };
  for (let i = 0; i < 21; i++) {
    const [a, b, c] = [hash[i]!, hash[i + 21]!, hash[i + 42]!];
    const turned = [[a, b, c], [b, c, a], [c, a, b]][i % 3]!;
    put(turned[0]! << 16 | turned[1]! << 8 | turned[2]!, 4);
  }
  put(hash[63]!, 2);
  return text;
}
