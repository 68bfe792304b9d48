import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";
import type { StoredUser } from "../topology/definition_change.ts";

/** Bytes of the salt in front of the hash, as in RabbitMQ (https://www.rabbitmq.com/passwords.html). */
const SALT = 4;
const LENGTHS = { sha256: 32, sha512: 64 } as const;

/** Who is compared with when there is no such user, so that it takes as long. */
const NOBODY = { passwordHash: hashPassword(""), hashing: "sha256" } as const;

/** Salt and hash as base64, as RabbitMQ has it in its definitions. */
export function hashPassword(password: string, hashing: StoredUser["hashing"] = "sha256"): string {
  const salt = randomBytes(SALT);
  return Buffer.concat([salt, digest(hashing, salt, Buffer.from(password))]).toString("base64");
}

/** Whether a hash has the form of its kind. */
export function isPasswordHash(hash: string, hashing: StoredUser["hashing"]): boolean {
  return hash === "" || Buffer.from(hash, "base64").length === SALT + LENGTHS[hashing];
}

/** Whether this is the user's password, in a time that does not depend on it; nobody has an empty one. */
export function isPassword(password: Uint8Array, user: StoredUser | undefined): boolean {
  const { passwordHash, hashing } = user !== undefined && user.passwordHash !== "" ? user : NOBODY;
  const known = Buffer.from(passwordHash, "base64");
  const given = digest(hashing, known.subarray(0, SALT), password);
  const same = timingSafeEqual(given, known.subarray(SALT));
  return same && password.length > 0 && passwordHash !== NOBODY.passwordHash;
}

function digest(hashing: StoredUser["hashing"], salt: Uint8Array, password: Uint8Array): Buffer {
  return createHash(hashing).update(salt).update(password).digest();
}
