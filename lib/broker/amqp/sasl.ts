import { amqpError } from "../../amqp/amqp_error.ts";
import { decodeTableContent } from "../../amqp/types/table.ts";

/** The name and password that a client sent. */
export interface Credentials {
  readonly name: string;
  readonly password: Uint8Array;
}

/**
 * Reads the response of the SASL mechanism PLAIN (RFC 4616) or AMQPLAIN (a table with `LOGIN` and `PASSWORD`).
 *
 * @throws {AmqpError} 501: the response is malformed; 503: the mechanism is unknown
 */
export function readCredentials(mechanism: string, response: Uint8Array): Credentials {
  if (mechanism === "PLAIN") {
    const [identity, name, password, ...rest] = splitAtNul(response);
    // No user may act for another one, so the identity must be empty.
    if (identity!.length > 0 || name === undefined || password === undefined || rest.length > 0) {
      throw amqpError(501, "the response of PLAIN is malformed");
    }
    return { name: new TextDecoder().decode(name), password };
  }
  if (mechanism === "AMQPLAIN") {
    const { LOGIN, PASSWORD } = decodeTableContent(response);
    if (typeof LOGIN === "string" && (typeof PASSWORD === "string" || PASSWORD instanceof Uint8Array)) {
      return {
        name: LOGIN,
        password: typeof PASSWORD === "string" ? new TextEncoder().encode(PASSWORD) : PASSWORD,
      };
    }
    throw amqpError(501, "the response of AMQPLAIN has no LOGIN and PASSWORD");
  }
  throw amqpError(503, `the mechanism '${mechanism}' is unknown; the broker has PLAIN and AMQPLAIN`);
}

function splitAtNul(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let from = 0;
  for (let at; (at = bytes.indexOf(0, from)) >= 0; from = at + 1) parts.push(bytes.subarray(from, at));
  parts.push(bytes.subarray(from));
  return parts;
}
