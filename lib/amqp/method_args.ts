/** The types of all methods, derived from the table in methods.ts. */
import type { FieldType, METHODS } from "./methods.ts";
import type { FieldTable } from "./types/field_value.ts";

/** The JavaScript type of each field type. */
export interface FieldTypes extends Record<FieldType, unknown> {
  bit: boolean;
  octet: number;
  short: number;
  long: number;
  /** Rounded beyond 2^53. */
  longlong: number;
  /** At most 255 bytes. */
  shortstr: string;
  longstr: Uint8Array;
  table: FieldTable;
}

/** The name of a method, as in the specification: `queue.declare-ok`. */
export type MethodName = keyof typeof METHODS;

/** The arguments of a method, all of them, as they are decoded. */
export type MethodArgs<Name extends MethodName> = {
  readonly [
    Field in typeof METHODS[Name]["fields"][number] as Field[0] extends `reserved${string}` ? never : Field[0]
  ]: FieldTypes[Field[1]];
};

/** The arguments for encoding a method: omitted ones are empty, zero or false. */
export type GivenArgs<Name extends MethodName> = Partial<MethodArgs<Name>>;

/** A decoded method, discriminated by its name. */
export type Method = {
  [Name in MethodName]: { readonly name: Name; readonly args: MethodArgs<Name> };
}[MethodName];
