import type { Cycle } from "../cycle.ts";

/** What the end of a connection needs of the server. */
export interface ConnectionEndHost {
  readonly cycle: Cycle;
  /** The release of an ended connection failed because of a bug. */
  onFailure(error: Error): void;
}

/**
 * Ends a connection within one cycle.
 *
 * @param release releases everything that the client holds; its failure is reported
 * @param report reports the end; called in any case
 */
export function endConnection(host: ConnectionEndHost, release: () => void, report: () => void): void {
  host.cycle.begin();
  try {
    release();
  } catch (error) {
    host.onFailure(error as Error);
  } finally {
    try {
      report();
    } finally {
      host.cycle.end();
    }
  }
}
