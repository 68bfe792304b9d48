/** A row of the benchmark: our programs and their peers do the same work in turns. */
import type { Lab } from "./lab.ts";
import type { Peer } from "./peers.ts";

/** The units of figures. `less` means that a smaller figure is better. */
export const UNITS = {
  "msgs/s": "more",
  "MB/s": "more",
  "conns/s": "more",
  "ms": "less",
  "µs": "less",
  "MiB": "less",
} as const;

export type Unit = keyof typeof UNITS;

/** One measurement. */
export interface Measurement {
  /** In the unit of the row. */
  readonly value: number;
  /** The CPU time of all measured processes, user and system, in seconds. */
  readonly cpu?: number | undefined;
  /** The largest resident memory of a measured process, in MiB. */
  readonly memory?: number | undefined;
}

/** One participant of a row: a program of ours, or the peer that it is compared with. */
export interface Side {
  readonly name: string;
  /** The name of the side that this one is compared with; undefined for a peer. */
  readonly against?: string | undefined;
  /** Does the work of one round. */
  measure(): Promise<Measurement>;
}

/** One entry of the table of a group. */
export interface Row {
  /** The name on the command line, `push-pull-63`. */
  readonly name: string;
  readonly title: string;
  readonly unit: Unit;
  /** What must be installed. */
  readonly needs: readonly Peer[];
  /** The least ratio that each of our programs must reach, by its name. */
  readonly targets?: Readonly<Record<string, number>>;
  /** Prepares the row, and returns its sides; a peer comes before the sides that are compared with it. */
  sides(lab: Lab): Promise<readonly Side[]>;
}

/** Rows that belong together and share their preparation, such as running brokers. */
export interface Group {
  readonly name: string;
  readonly title: string;
  readonly rows: readonly Row[];
}

/** Returns a side for each of our programs, all compared with the same peer. */
export function compare(
  lab: Lab,
  peer: Side,
  measure: (command: readonly string[]) => Promise<Measurement>,
): Side[] {
  return [
    peer,
    ...lab.programs.map(({ name, command }) => ({
      name,
      against: peer.name,
      measure: () => measure(command),
    })),
  ];
}
