import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";
import type { StoredUser } from "../topology/definition_change.ts";

/** The length of the salt that precedes the hash, as in RabbitMQ (https://www.rabbitmq.com/passwords.html). */
const SALT = 4;
const LENGTHS = { sha256: 32, sha512: 64 } as const;

/** A hash to compare with when the user does not exist, so that the check takes the same time. */
const NO_USER = { passwordHash: hashPassword(""), hashing: "sha256" } as const;

/** Hashes a password with a random salt. The result is the base64 of salt and hash, as in RabbitMQ's definitions. */
export function hashPassword(password: string, hashing: StoredUser["hashing"] = "sha256"): string {
  const salt = randomBytes(SALT);
  return Buffer.concat([salt, digest(hashing, salt, Buffer.from(password))]).toString("base64");
}

/** Whether a hash has the correct length. */
export function isPasswordHash(hash: string, hashing: StoredUser["hashing"]): boolean {
  return hash === "" || Buffer.from(hash, "base64").length === SALT + LENGTHS[hashing];
}

/** Checks a user's password in constant time. An empty password is never correct. */
export function isPassword(password: Uint8Array, user: StoredUser | undefined): boolean {
  const { passwordHash, hashing } = user !== undefined && user.passwordHash !== "" ? user : NO_USER;
  const known = Buffer.from(passwordHash, "base64");
  const given = digest(hashing, known.subarray(0, SALT), password);
  const same = timingSafeEqual(given, known.subarray(SALT));
  return same && password.length > 0 && passwordHash !== NO_USER.passwordHash;
}

function digest(hashing: StoredUser["hashing"], salt: Uint8Array, password: Uint8Array): Buffer {
  return createHash(hashing).update(salt).update(password).digest();
}
