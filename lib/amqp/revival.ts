/** Dead letters become again what they were before. */
import { decodeProperties, encodeProperties } from "./properties.ts";
import type { FieldTable, FieldValue } from "./types/field_value.ts";

/** The headers in which a broker records deaths: without them a message can die again as if for the first time. */
const DEATH_HEADERS = /^x-(death$|first-death-|last-death-)/;
/** Routing keys for the original exchange, which would now send copies to other queues. */
const COPY_HEADERS = /^B?CC$/;

/** A dead letter that is ready to return. */
export interface Revived {
  readonly queue: string;
  /** Encoded. */
  readonly properties: Uint8Array;
}

/**
 * Revives a dead letter.
 *
 * @param encoded its properties
 * @param from the queue where it is now
 * @param to its new queue; undefined: the one where it died
 * @returns undefined when its headers do not name the queue where it died
 */
export function revive(encoded: Uint8Array, from: string, to: string | undefined): Revived | undefined {
  const { headers, ...properties } = decodeProperties(encoded);
  const queue = to ?? originOf(headers, from);
  if (queue === undefined) return undefined;
  const kept = Object.entries(headers ?? {}).filter(([name]) =>
    !DEATH_HEADERS.test(name) && !COPY_HEADERS.test(name)
  );
  if (kept.length > 0) Object.assign(properties, { headers: Object.fromEntries(kept) });
  return { queue, properties: encodeProperties(properties) };
}

/**
 * Returns the queue in which a dead letter died last, before it was moved to its present queue.
 *
 * @param headers `x-death` lists the deaths, the last one first; `x-first-death-queue` is the first one's
 * @returns undefined when the headers do not name it
 */
function originOf(headers: FieldTable | undefined, now: string): string | undefined {
  const deaths = headers?.["x-death"];
  const queues = Array.isArray(deaths)
    ? deaths.map((death) => isTable(death) ? death["queue"] : undefined)
    : [];
  return [...queues, headers?.["x-first-death-queue"]]
    .find((queue): queue is string => typeof queue === "string" && queue !== now);
}

function isTable(value: FieldValue): value is FieldTable {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null;
}
