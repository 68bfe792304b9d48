/** How far a dump is: the index of the queue that is read, the position of the next message there, all messages. */
export interface Progress {
  readonly queue: number;
  readonly position: number;
  readonly messages: number;
}

/** Where a dump is written. */
export interface DumpSink {
  /** What the dump consists of: that of the interrupted dump which this one continues, or its own. */
  readonly plan: string;
  /** How far an interrupted dump was that this one continues; undefined: it starts. */
  readonly continued: Progress | undefined;
  /** Whether the source should stop until the sink calls `onChange`. */
  readonly full: boolean;
  /** Why nothing more can be written. */
  readonly failure: Error | undefined;
  /** Appends a line. @param progress how far the dump is with it */
  append(line: string, progress: Progress): void;
  /** Called after the last line of a read. */
  flush(): void;
  /** Writes what is left. @throws {Error} it cannot be written */
  complete(progress: Progress): Promise<void>;
  /** Whether the same command can continue an incomplete dump. */
  readonly canContinue: boolean;
  /** Ends an incomplete dump. @throws {Error} the output failed */
  abandon(): Promise<void>;
}
