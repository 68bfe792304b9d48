import type { Json } from "./table.ts";

/** Reports JSON that does not have the expected form. The message has the path. */
export class JsonError extends TypeError {}

/** A JSON object with typed access to its members. Errors name the path of the member. */
export class JsonObject {
  /** The path of the object, for example `queues[3]`; empty for the root. */
  readonly path: string;
  readonly #members: { readonly [name: string]: Json };

  /** @throws {JsonError} the value is not an object */
  constructor(path: string, json: Json | { readonly [name: string]: Json }) {
    this.path = path;
    if (!isObject(json)) throw new JsonError(`${path || "it"} must be a JSON object`);
    this.#members = json;
  }

  /** Whether a member exists and is not empty. */
  has(name: string): boolean {
    const value = this.#member(name) ?? null;
    return value !== null && (typeof value !== "object" || Object.keys(value).length > 0);
  }

  /** Returns a member as it is; undefined if it is missing or null. */
  value(name: string): Json | undefined {
    return this.#member(name);
  }

  /** Returns a string. @throws {JsonError} it is not a string, or it is missing and has no default */
  text(name: string, otherwise?: string): string {
    const value = this.#member(name) ?? otherwise;
    if (typeof value === "string") return value;
    throw this.#wrong(name, "a string", value);
  }

  /** Returns a boolean. The texts "true" and "false" are accepted because rabbitmqadmin sends them. */
  flag(name: string, otherwise: boolean): boolean {
    const value = this.#member(name) ?? otherwise;
    if (value === true || value === "true") return true;
    if (value === false || value === "false") return false;
    throw this.#wrong(name, "true or false", value);
  }

  /** Returns a non-negative integer. Digits in a string are accepted. */
  integer(name: string, otherwise?: number): number {
    const value = this.#member(name) ?? otherwise;
    const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof number === "number" && Number.isSafeInteger(number) && number >= 0) return number;
    throw this.#wrong(name, "a whole number", value);
  }

  /** Returns an object; an empty one if it is missing. */
  object(name: string): { readonly [name: string]: Json } {
    const value = this.#member(name) ?? {};
    // Some programs write an empty object as an empty list.
    if (Array.isArray(value) && value.length === 0) return {};
    if (isObject(value)) return value;
    throw this.#wrong(name, "an object", value);
  }

  /** Returns a list of objects; an empty one if it is missing. */
  objects(name: string): JsonObject[] {
    const value = this.#member(name) ?? [];
    if (!Array.isArray(value)) throw this.mistake(name, "must be a list");
    return value.map((one, i) => new JsonObject(`${this.#pathOf(name)}[${i}]`, one));
  }

  /** Returns a list of strings, also from a string with commas; an empty one if it is missing. */
  texts(name: string): string[] {
    const value = this.#member(name) ?? [];
    const list = typeof value === "string" ? value.split(",") : value;
    if (Array.isArray(list) && list.every((one) => typeof one === "string")) {
      return list.map((one) => (one as string).trim()).filter((one) => one !== "");
    }
    throw this.#wrong(name, "a list of strings", value);
  }

  /** Makes an error about a member. */
  mistake(name: string, what: string): JsonError {
    return new JsonError(`${this.#pathOf(name)} ${what}`);
  }

  /** Makes an error with the value, unless the value may be a secret. */
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

/** Whether JSON is an object. */
export function isObject(json: Json | { readonly [name: string]: Json }): json is { [name: string]: Json } {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
