/** The users and virtual hosts of the cases, in the format of RabbitMQ's definitions. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Json } from "../../../lib/broker/core/definitions/table.ts";

/** Hashes a password: a 4-byte salt, then the SHA-256 of salt and password. */
function hashed(password: string): string {
  const salt = Buffer.from([1, 2, 3, 4]);
  const digest = createHash("sha256").update(salt).update(password).digest();
  return Buffer.concat([salt, digest]).toString("base64");
}

function user(name: string): { [name: string]: Json } {
  return {
    name,
    password_hash: hashed(name),
    hashing_algorithm: "rabbit_password_hashing_sha256",
    tags: [],
    limits: {},
  };
}

/** Each user's password is its name. */
export const DEFINITIONS: { [name: string]: Json } = {
  rabbit_version: "3.10.8",
  // The first has no permissions; the second has empty patterns; the third has patterns for some names,
  // and the fourth a topic permission.
  users: [user("nobody"), user("none"), user("limited"), user("topical")],
  vhosts: [{ name: "other" }, { name: "closed" }],
  permissions: [
    { user: "guest", vhost: "other", configure: ".*", write: ".*", read: ".*" },
    { user: "topical", vhost: "/", configure: ".*", write: ".*", read: ".*" },
    { user: "none", vhost: "/", configure: "^$", write: "^$", read: "^$" },
    { user: "none", vhost: "other", configure: "", write: "", read: "" },
    {
      user: "limited",
      vhost: "/",
      configure: "\\.own|^amq\\.gen",
      write: "\\.own|\\.in|^amq\\.gen",
      read: "\\.own|\\.out",
    },
  ],
  topic_permissions: [{ user: "topical", vhost: "/", exchange: "amq.topic", write: "^ok", read: "^ok" }],
  parameters: [],
  policies: [],
  queues: [],
  exchanges: [],
  bindings: [],
};
