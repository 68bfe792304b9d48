/** Numbers and times as text. */
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** A number of things; undefined is shown as a dash. */
export function count(value) {
  if (value === undefined || value === null) return "–";
  return Math.abs(value) < 10_000_000 ? whole.format(value) : compact.format(value);
}

/** A rate per second. */
export function rate(value) {
  if (value === undefined || value === null) return "–";
  const rounded = Math.abs(value) < 10 ? Math.round(value * 10) / 10 : Math.round(value);
  if (rounded === 0) return "0";
  return Math.abs(value) < 10 ? tenths.format(value) : count(rounded);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(value) {
  if (value === undefined || value === null) return "–";
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? whole.format(value) : tenths.format(value)} ${UNITS[unit]}`;
}

export function clock(milliseconds) {
  return new Date(milliseconds).toLocaleTimeString("en-GB");
}

export function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = parts.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [size, unit] = parts[at];
  const rest = parts[at + 1];
  const first = `${Math.floor(seconds / size)} ${unit}`;
  const second = rest === undefined ? 0 : Math.floor(seconds % size / rest[0]);
  return second === 0 ? first : `${first} ${second} ${rest[1]}`;
}

/** The rate of a counter in an object of the API. */
export function rateOf(object, name) {
  return object?.[`${name}_details`]?.rate;
}
