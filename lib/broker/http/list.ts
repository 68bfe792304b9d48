import type { Json } from "../core/definitions/table.ts";
import { compilePattern, filterByPattern } from "../../regex/pattern.ts";
import { badRequest, HttpError } from "./errors.ts";

type Row = { [name: string]: Json };

const PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 500;

/** A list of objects, which are described only if they are on the requested page. */
export interface Listing<T> {
  readonly objects: readonly T[];
  name(object: T): string;
  row(object: T): Row;
  /** Returns what reads a column without the row; undefined: the rows must be made to sort by it. */
  column?(column: string): ((object: T) => Json) | undefined;
}

/** Applies the query to a list of rows; see `listObjects`. */
export function listOf(rows: readonly Row[], query: URLSearchParams): Json {
  return listObjects({ objects: rows, name: (row) => String(row["name"]), row: (row) => row }, query);
}

/**
 * Applies the query to a list: `name` (with `use_regex`), `sort` and `sort_reverse`, `columns`, and pages with `page` and
 * `page_size` (https://rawcdn.githack.com/rabbitmq/rabbitmq-server/v3.10.8/deps/rabbitmq_management/priv/www/api/index.html).
 */
export function listObjects<T>(listing: Listing<T>, query: URLSearchParams): Json {
  const { objects } = listing;
  const found = sorted(listing, filter(listing, query), query);
  const shown = (object: T) => columnsOf(listing.row(object), query);
  if (!query.has("page")) return found.map(shown);
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
    items: items.map(shown),
    page,
    page_count: pages,
    page_size: size,
    total_count: objects.length,
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

function filter<T>({ objects, name: nameOf }: Listing<T>, query: URLSearchParams): readonly T[] {
  const name = query.get("name") ?? "";
  if (name === "") return objects;
  if (query.get("use_regex") === "true") return filterByPattern(compilePattern(name), objects, nameOf);
  const wanted = name.toLowerCase();
  return objects.filter((object) => nameOf(object).toLowerCase().includes(wanted));
}

function sorted<T>(listing: Listing<T>, found: readonly T[], query: URLSearchParams): readonly T[] {
  const column = query.get("sort");
  if (column === null) return found;
  const read = listing.column?.(column) ?? ((object) => valueAt(listing.row(object), column));
  const keyed = found.map((object) => ({ object, key: read(object) }));
  keyed.sort((a, b) => compare(a.key, b.key));
  if (query.get("sort_reverse") === "true") keyed.reverse();
  return keyed.map(({ object }) => object);
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
