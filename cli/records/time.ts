/** The time of arrival in records. */

/** The current time in the form of RFC 3339, in UTC with microseconds. It never goes back during the process. */
export function timestamp(): string {
  const now = performance.timeOrigin + performance.now();
  const micros = Math.floor(now % 1 * 1000);
  return `${new Date(now).toISOString().slice(0, -1)}${String(micros).padStart(3, "0")}Z`;
}

/**
 * Parses a time in the form of RFC 3339.
 *
 * @returns milliseconds since 1970, with fractions to the microsecond
 * @throws {Error} the text is not such a time
 */
export function parseTimestamp(time: unknown): number {
  const match = typeof time === "string"
    ? /^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.exec(time)
    : null;
  const seconds = match === null ? NaN : Date.parse(`${match[1]}${match[3]}`.toUpperCase().replace(" ", "T"));
  if (!Number.isNaN(seconds)) return seconds + Number(match![2] ?? 0) * 1000;
  throw new Error(`its 'time' is not in the format of RFC 3339, such as 2026-01-31T12:00:00.000001Z`);
}
