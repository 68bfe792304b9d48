import type { Session } from "../../app/session.ts";
import { finishOutput, Output } from "../../io/output.ts";

/**
 * Without control characters: names are a stranger's bytes, and a terminal does what these say. They are written as
 * JSON has them, so that JSON stays what it is.
 */
export function visible(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Prints lines on stdout, as `visible` has them, and waits until they are written. */
export async function print(session: Session, lines: readonly string[]): Promise<void> {
  const output = new Output(session);
  for (const line of lines) output.append(new TextEncoder().encode(`${visible(line)}\n`));
  await finishOutput(session, output);
}
