/** The queues that operands select: by name, or by a pattern with `*`. */
import { PROGRESS } from "../../../lib/amqp/dump.ts";
import { isPattern, matchesName } from "../name_pattern.ts";
import { nearest } from "../../app/nearest.ts";

/**
 * The queues that the operands select, sorted.
 *
 * @param operands names and patterns; none: all queues
 * @param where the place of the names in error messages, ` in the dump`
 * @throws {Error} an operand selects no queue
 */
export function select(operands: readonly string[], names: readonly string[], where = ""): string[] {
  const known = names.filter((name) => !name.startsWith(PROGRESS));
  if (operands.length === 0) return known.sort();
  const selected = new Set<string>();
  for (const operand of operands) {
    const found = known.filter((name) => matchesName(operand, name));
    if (found.length === 0) {
      const similar = isPattern(operand) ? undefined : nearest(operand, known);
      throw new Error(
        `there is no queue '${operand}'${where}${
          similar === undefined ? "" : ` (did you mean '${similar}'?)`
        }`,
      );
    }
    for (const name of found) selected.add(name);
  }
  return [...selected].sort();
}
