import type { Json } from "./table.ts";

/** JSON that has not the form that is asked for; the message says where. */
export class JsonError extends TypeError {}

/** An object of JSON: its members by their type, with errors that say where it is. */
export class JsonObject {
  /** Where it is: `queues[3]`; empty for the whole. */
  readonly path: string;
  readonly #members: { readonly [name: string]: Json };

  /** @throws {JsonError} it is no object */
  constructor(path: string, json: Json | { readonly [name: string]: Json }) {
    this.path = path;
    if (!isObject(json)) throw new JsonError(`${path || "it"} must be a JSON object`);
    this.#members = json;
  }

  /** Whether a member is there and not empty. */
  has(name: string): boolean {
    const value = this.#member(name) ?? null;
    return value !== null && (typeof value !== "object" || Object.keys(value).length > 0);
  }

  /** @throws {JsonError} it is no string, or missing and nothing else is given for it */
  text(name: string, otherwise?: string): string {
    const value = this.#member(name) ?? otherwise;
    if (typeof value === "string") return value;
    throw this.#wrong(name, "a string", value);
  }

  /** A boolean, also as text: rabbitmqadmin writes them so. */
  flag(name: string, otherwise: boolean): boolean {
    const value = this.#member(name) ?? otherwise;
    if (value === true || value === "true") return true;
    if (value === false || value === "false") return false;
    throw this.#wrong(name, "true or false", value);
  }

  /** A whole number that is not negative, also as text. */
  integer(name: string, otherwise?: number): number {
    const value = this.#member(name) ?? otherwise;
    const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof number === "number" && Number.isSafeInteger(number) && number >= 0) return number;
    throw this.#wrong(name, "a whole number", value);
  }

  /** An object; empty when it is missing. */
  object(name: string): { readonly [name: string]: Json } {
    const value = this.#member(name) ?? {};
    // What is empty is a list to some.
    if (Array.isArray(value) && value.length === 0) return {};
    if (isObject(value)) return value;
    throw this.#wrong(name, "an object", value);
  }

  /** A list of objects; empty when it is missing. */
  objects(name: string): JsonObject[] {
    const value = this.#member(name) ?? [];
    if (!Array.isArray(value)) throw this.mistake(name, "must be a list");
    return value.map((one, i) => new JsonObject(`${this.#pathOf(name)}[${i}]`, one));
  }

  /** A list of texts, or a text with commas; empty when it is missing. */
  texts(name: string): string[] {
    const value = this.#member(name) ?? [];
    const list = typeof value === "string" ? value.split(",") : value;
    if (Array.isArray(list) && list.every((one) => typeof one === "string")) {
      return list.map((one) => (one as string).trim()).filter((one) => one !== "");
    }
    throw this.#wrong(name, "a list of strings", value);
  }

  mistake(name: string, what: string): JsonError {
    return new JsonError(`${this.#pathOf(name)} ${what}`);
  }

  /** The value is told, unless it may be a secret. */
  #wrong(name: string, what: string, value: Json | undefined): JsonError {
    const received = name.includes("password") && value !== undefined
      ? ""
      : `: received ${JSON.stringify(value) ?? "nothing"}`;
    return this.mistake(name, `must be ${what}${received}`);
  }

  #member(name: string): Json | undefined {
    return Object.hasOwn(this.#members, name) ? this.#members[name] ?? undefined : undefined;
  }

  #pathOf(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }
}

function isObject(json: Json | { readonly [name: string]: Json }): json is { [name: string]: Json } {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
