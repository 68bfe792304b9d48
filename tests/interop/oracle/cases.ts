/** The cases of a behaviour suite: scripts by name, with their intended differences. */
import type { Comparable, Difference } from "./compare.ts";

/** A script that uses a server. The responses of the servers are compared. */
export type Script<Session> = (on: Session) => Promise<void>;

export interface Case<Session> extends Comparable {
  readonly script: Script<Session>;
}

/**
 * Makes the cases of one concern.
 *
 * @param scripts the scripts by case name; with differences as `[script, difference…]`
 */
export function cases<Session>(
  concern: string,
  scripts: Readonly<Record<string, Script<Session> | readonly [Script<Session>, ...Difference[]]>>,
): Case<Session>[] {
  return Object.entries(scripts).map(([name, entry]) => {
    const [script, ...differences] = typeof entry === "function" ? [entry] : entry;
    return { name: `${concern} - ${name}`, script, differences };
  });
}
