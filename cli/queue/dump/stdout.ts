import { finishOutput, Output } from "../../io/output.ts";
import type { Session } from "../../app/session.ts";
import { utf8 } from "../../../lib/zmtp/bytes.ts";
import type { DumpSink } from "./sink.ts";

/** Writes a dump to stdout. It cannot be continued. */
export class StdoutDump implements DumpSink {
  readonly continued = undefined;
  readonly canContinue = false;
  readonly plan: string;
  readonly #session: Session;
  readonly #output: Output;

  constructor(session: Session, plan: string, onChange: () => void) {
    this.#session = session;
    this.plan = plan;
    this.#output = new Output(session);
    this.#output.onChange = onChange;
  }

  get failure(): Error | undefined {
    return this.#output.failure;
  }

  get full(): boolean {
    return this.#output.full;
  }

  append(line: string): void {
    this.#output.append(utf8(line));
  }

  flush(): void {
    this.#output.flush();
  }

  async complete(): Promise<void> {
    await finishOutput(this.#session, this.#output);
  }

  async abandon(): Promise<void> {
    await finishOutput(this.#session, this.#output);
  }
}
