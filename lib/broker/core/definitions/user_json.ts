/** Users as JSON, in RabbitMQ's definitions and HTTP API. */
import type { StoredUser } from "../topology/definition_change.ts";
import { hashPassword } from "../users/password.ts";
import type { JsonObject } from "./json_object.ts";
import type { Json } from "./table.ts";

const HASHINGS: Readonly<Record<string, StoredUser["hashing"]>> = {
  rabbit_password_hashing_sha256: "sha256",
  rabbit_password_hashing_sha512: "sha512",
};

/** Converts a user to the JSON of RabbitMQ's management. */
export function userToJson(user: StoredUser): { [name: string]: Json } {
  return {
    name: user.name,
    password_hash: user.passwordHash,
    hashing_algorithm: `rabbit_password_hashing_${user.hashing}`,
    tags: [...user.tags],
    limits: { ...user.limits },
  };
}

/**
 * Reads a user from JSON with `password_hash` and `hashing_algorithm`, or `password`.
 *
 * @throws {JsonError} the JSON is malformed, or the hashing algorithm is unknown
 */
export function userFromJson(object: JsonObject, name: string): StoredUser {
  const password = object.text("password", "");
  const algorithm = object.text("hashing_algorithm", "rabbit_password_hashing_sha256");
  const hashing = Object.hasOwn(HASHINGS, algorithm) ? HASHINGS[algorithm]! : undefined;
  if (hashing === undefined) {
    throw object.mistake(
      "hashing_algorithm",
      `must be one of ${Object.keys(HASHINGS).join(", ")}: received '${algorithm}'`,
    );
  }
  const passwordHash = password === "" ? object.text("password_hash", "") : hashPassword(password, hashing);
  const tags = object.texts("tags");
  return { name, passwordHash, hashing, tags };
}
