import type { Filter } from "../../lib/filter/filter.ts";
import { group, option } from "../app/command.ts";
import { word } from "../app/values.ts";

/** The filter of the commands that receive messages. */
export const where = group("Messages", {
  where: option(
    "--where <filter>",
    "only messages that match this filter, such as 'topic =~ \"^eu\" and size > 1k'",
    word,
  ),
});

/**
 * Compiles the filter of `--where`. The language is loaded only when it is needed.
 *
 * @returns undefined without the option
 * @throws {FilterError} the filter is malformed
 */
export async function filterOf(values: { readonly where: string | undefined }): Promise<Filter | undefined> {
  if (values.where === undefined) return undefined;
  const { compileFilter } = await import("../../lib/filter/filter.ts");
  return compileFilter(values.where);
}
