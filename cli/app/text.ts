/** Names, numbers and times as people read them. */

/**
 * Escapes control characters, because names may come from other users and a terminal would obey them. The escapes are
 * those of JSON, so JSON stays valid.
 */
export function visible(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Seconds as `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function durationText(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A number in at most five characters: `99999`, `123k`, `4.56M`. */
export function shortNumber(value: number): string {
  if (value < 100_000) {
    return `${value < 10 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value)}`;
  }
  return withUnit(value, 1000, ["", "k", "M", "G", "T"]);
}

/** Bytes in at most six characters: `512`, `12.3K`, `4.56M`; K is 1,024 bytes. */
export function shortBytes(bytes: number): string {
  return withUnit(bytes, 1024, ["", "K", "M", "G", "T"]);
}

/** A value with three digits and a unit. */
function withUnit(value: number, factor: number, units: readonly string[]): string {
  let at = 0;
  for (; value >= factor * 0.9995 && at < units.length - 1; at++) value /= factor;
  const digits = at === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)}${units[at]}`;
}
