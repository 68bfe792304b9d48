import { Output } from "../../io/output.ts";
import { outputFailure } from "../../receiving.ts";
import type { Session } from "../../session.ts";

/** Prints lines on stdout, and waits until they are written. */
export async function print(session: Session, lines: readonly string[]): Promise<void> {
  const output = new Output(1);
  for (const line of lines) output.append(new TextEncoder().encode(`${line}\n`));
  await output.drained();
  const failure = outputFailure(session, output);
  if (failure !== undefined) throw failure;
}
