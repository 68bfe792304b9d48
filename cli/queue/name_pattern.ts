/** Patterns for the names of queues: `*` is any text, and the pattern is for the whole name. */

/** Whether a word is a pattern. */
export function isPattern(word: string): boolean {
  return word.includes("*");
}

/** Whether a name matches a pattern, or is equal to it. */
export function matchesName(pattern: string, name: string): boolean {
  const parts = pattern.split("*");
  const first = parts.shift()!;
  if (parts.length === 0) return pattern === name;
  const last = parts.pop()!;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) {
    return false;
  }
  // The leftmost place of each part leaves the most for the rest.
  let at = first.length;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > name.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}

/** The same pattern as a regular expression of RabbitMQ's HTTP API. */
export function expressionOf(pattern: string): string {
  const parts = pattern.split(/\*+/).map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  return `^${parts.join(".*")}$`;
}
