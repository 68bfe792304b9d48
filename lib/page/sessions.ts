import { createHash, randomBytes } from "node:crypto";

/** A login ends after this time, and after this time without a request, in milliseconds. */
const MAX_AGE = 24 * 3_600_000;
const MAX_IDLE = 8 * 3_600_000;
/** The greatest number of logins; the oldest one ends for a new one. */
const MAX_SESSIONS = 1000;

/** A login of the page. */
interface Session {
  /** The value of the header `Authorization` for the HTTP API. */
  readonly authorization: string;
  readonly startedAt: number;
  usedAt: number;
}

/** The logins of the page, by a random token. They end with the process. */
export class Sessions {
  /** By the hash of the token: the time of a search in a map must not depend on the token itself. */
  readonly #sessions = new Map<string, Session>();

  /**
   * Starts a session.
   *
   * @param now the time in milliseconds, as for all methods
   * @returns its token, which must be kept secret
   */
  start(authorization: string, now: number): string {
    for (const [key, session] of this.#sessions) if (isOver(session, now)) this.#sessions.delete(key);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= MAX_SESSIONS) this.#sessions.delete(oldest!);
    const token = randomBytes(32).toString("base64url");
    this.#sessions.set(hash(token), { authorization, startedAt: now, usedAt: now });
    return token;
  }

  /** The login of a session; undefined if it is unknown or over. */
  authorizationOf(token: string, now: number): string | undefined {
    const session = this.#sessions.get(hash(token));
    if (session === undefined || isOver(session, now)) return undefined;
    session.usedAt = now;
    return session.authorization;
  }

  end(token: string): void {
    this.#sessions.delete(hash(token));
  }
}

function isOver({ startedAt, usedAt }: Session, now: number): boolean {
  return now - startedAt > MAX_AGE || now - usedAt > MAX_IDLE;
}

function hash(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
