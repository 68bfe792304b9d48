/** The options of the live table of queues: of `queue top` and `queue list --watch`. */
import { flag, group, option } from "../app/command.ts";
import { duration, oneOf } from "../app/values.ts";
import { SORT_COLUMNS } from "../queue/top/columns.ts";

export const table = group("Table", {
  sort: option(
    "--sort <column>",
    `sort by this column: ${SORT_COLUMNS.join(", ")} (default: ready)`,
    oneOf(...SORT_COLUMNS),
  ),
  reverse: flag("--reverse", "reverse the order: smallest numbers or last names first"),
  interval: option("-i, --interval <duration>", "time between two samples (default: 1s)", duration),
});
