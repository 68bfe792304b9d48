import type { Json } from "../core/definitions/table.ts";
import { compilePattern, filterByPattern } from "../../regex/pattern.ts";
import { badRequest, HttpError } from "./errors.ts";

type Row = { [name: string]: Json };

const PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 500;

/**
 * Applies the query to a list: `name` (with `use_regex`), `sort` and `sort_reverse`, `columns`, and pages with `page` and
 * `page_size` (https://rawcdn.githack.com/rabbitmq/rabbitmq-server/v3.10.8/deps/rabbitmq_management/priv/www/api/index.html).
 */
export function listOf(rows: readonly Row[], query: URLSearchParams): Json {
  let found = filter(rows, query);
  const sort = query.get("sort");
  if (sort !== null) {
    const sorted = found.toSorted((a, b) => compare(valueAt(a, sort), valueAt(b, sort)));
    if (query.get("sort_reverse") === "true") sorted.reverse();
    found = sorted;
  }
  if (!query.has("page")) return found.map((row) => columnsOf(row, query));
  const page = wholeNumber(query, "page", 1);
  const size = wholeNumber(query, "page_size", PAGE_SIZE);
  if (page === 0 || size === 0 || size > MAX_PAGE_SIZE) {
    const reason = `Invalid pagination parameters: page number ${page}, page size ${size}`;
    throw new HttpError(400, "invalid_pagination_parameters", reason);
  }
  const pages = Math.ceil(found.length / size);
  if (page > Math.max(1, pages)) {
    const reason = `Page out of range, page: ${page} page size: ${size}, len: ${found.length}`;
    throw new HttpError(400, "page_out_of_range", reason);
  }
  const items = found.slice((page - 1) * size, page * size);
  return {
    filtered_count: found.length,
    item_count: items.length,
    items: items.map((row) => columnsOf(row, query)),
    page,
    page_count: pages,
    page_size: size,
    total_count: rows.length,
  };
}

/** Reduces an object to the columns in the query. */
export function columnsOf(row: Row, query: URLSearchParams): Row {
  const columns = query.get("columns");
  if (columns === null) return row;
  const reduced: Row = {};
  for (const column of columns.split(",")) {
    const value = valueAt(row, column);
    if (value === undefined) continue;
    const path = column.split(".");
    let at = reduced;
    for (const part of path.slice(0, -1)) at = (Object.hasOwn(at, part) ? at[part] : at[part] = {}) as Row;
    at[path.at(-1)!] = value;
  }
  return reduced;
}

function filter(rows: readonly Row[], query: URLSearchParams): readonly Row[] {
  const name = query.get("name") ?? "";
  if (name === "") return rows;
  if (query.get("use_regex") === "true") {
    return filterByPattern(compilePattern(name), rows, (row) => String(row["name"]));
  }
  const wanted = name.toLowerCase();
  return rows.filter((row) => String(row["name"]).toLowerCase().includes(wanted));
}

function valueAt(row: Row, column: string): Json | undefined {
  let at: Json | undefined = row;
  for (const part of column.split(".")) {
    if (typeof at !== "object" || at === null || Array.isArray(at) || !Object.hasOwn(at, part)) {
      return undefined;
    }
    at = at[part];
  }
  return at;
}

function compare(a: Json | undefined, b: Json | undefined): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [left, right] = [String(a ?? ""), String(b ?? "")];
  return left < right ? -1 : left > right ? 1 : 0;
}

function wholeNumber(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name) ?? String(otherwise);
  if (!/^\d{1,9}$/.test(text)) {
    throw badRequest(`${name} must be a whole number: received '${text}'`);
  }
  return Number(text);
}
