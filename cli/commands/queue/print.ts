import type { Session } from "../../app/session.ts";
import { finishOutput, Output } from "../../io/output.ts";

/**
 * Escapes control characters, because names may come from other users and a terminal would obey them. The escapes are
 * those of JSON, so JSON stays valid.
 */
export function visible(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Prints lines on stdout, escaped by `visible`, and waits until they are written. */
export async function print(session: Session, lines: readonly string[]): Promise<void> {
  const output = new Output(session);
  for (const line of lines) output.append(new TextEncoder().encode(`${visible(line)}\n`));
  await finishOutput(session, output);
}
