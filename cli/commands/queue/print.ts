import type { Session } from "../../app/session.ts";
import { visible } from "../../app/text.ts";
import { finishOutput, Output } from "../../io/output.ts";

/** Prints lines on stdout, escaped by `visible`, and waits until they are written. */
export async function print(
  session: Session,
  lines: readonly string[],
  output: Output = new Output(session),
): Promise<void> {
  for (const line of lines) output.append(new TextEncoder().encode(`${visible(line)}\n`));
  await finishOutput(session, output);
}
