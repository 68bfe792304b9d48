/** The queues that operands select: by name, or by a pattern with `*`. */
import { PROGRESS } from "../../../lib/amqp/dump.ts";
import { nearest } from "../../app/nearest.ts";
import { UsageError } from "../../app/errors.ts";

/** Whether an operand is a pattern: `*` is any text. */
export function isPattern(operand: string): boolean {
  return operand.includes("*");
}

/**
 * The queues that the operands select, sorted.
 *
 * @param operands names and patterns; none: all queues
 * @throws {UsageError} an operand selects no queue
 */
export function select(operands: readonly string[], names: readonly string[]): string[] {
  const known = names.filter((name) => !name.startsWith(PROGRESS));
  if (operands.length === 0) return known.sort();
  const selected = new Set<string>();
  for (const operand of operands) {
    const found = known.filter((name) => matches(operand, name));
    if (found.length === 0) {
      const similar = isPattern(operand) ? undefined : nearest(operand, known);
      throw new UsageError(
        `there is no queue '${operand}'${similar === undefined ? "" : ` (did you mean '${similar}'?)`}`,
      );
    }
    for (const name of found) selected.add(name);
  }
  return [...selected].sort();
}

/** Whether a name is the operand, or matches it as a pattern. */
export function matches(operand: string, name: string): boolean {
  if (!isPattern(operand)) return operand === name;
  const parts = operand.split("*");
  const first = parts.shift()!;
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
