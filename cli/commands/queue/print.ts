import type { Session } from "../../app/session.ts";
import { visible } from "../../app/text.ts";
import { finishOutput, Output } from "../../io/output.ts";

/** Prints lines on stdout, escaped by `visible`, and waits until they are written. */
export async function print(session: Session, lines: readonly string[]): Promise<void> {
  const output = new Output(session);
  for (const line of lines) output.append(new TextEncoder().encode(`${visible(line)}\n`));
  await finishOutput(session, output);
}
