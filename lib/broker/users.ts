import { timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";

/** What a user may do in a virtual host. */
export interface Access {
  /** @throws {AmqpError} 403: the user may not */
  check(operation: "configure" | "write" | "read", kind: "exchange" | "queue", name: string): void;
}

const EVERYTHING: Access = { check: () => {} };

/** Who may log in. */
export class Users {
  /** Why a user is not let in; undefined when the user is. */
  authenticate(name: string, password: Uint8Array, isLocal: boolean): string | undefined {
    const expected = Buffer.from("guest");
    const matches = name === "guest" && password.length === expected.length &&
      timingSafeEqual(password, expected);
    if (!matches) return "wrong user or password";
    return isLocal ? undefined : "the user guest may come from this machine only";
  }

  /** What a user may do in a virtual host; undefined when nothing at all. */
  accessTo(_name: string, _vhost: string): Access | undefined {
    return EVERYTHING;
  }
}
