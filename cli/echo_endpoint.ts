import type { Endpoint } from "../lib/transport/endpoint.ts";
import { UsageError } from "./errors.ts";
import type { SecurityOptions } from "./tls.ts";
import { endpoint } from "./values.ts";

/** Where the lecture's echo server listens, and so ours. */
const DEFAULT = "127.0.0.1:65432";

/**
 * The endpoint of an echo command.
 *
 * @throws {UsageError} it is malformed, nobody could be at its other end, or the security options do not fit it
 */
export function echoEndpoint(operand: string | undefined, security: SecurityOptions): Endpoint {
  const where = endpoint(operand ?? DEFAULT);
  if (where.scheme === "inproc") {
    throw new UsageError(`${operand}: inproc ends with this process, so nobody could be at the other end (try ${DEFAULT})`);
  }
  const { insecure, cacert, cert, key } = security;
  if (where.scheme !== "tls" && (insecure || (cacert ?? cert ?? key) !== undefined)) {
    throw new UsageError(`certificates belong to a tls:// endpoint, and ${operand ?? DEFAULT} is ${where.scheme}`);
  }
  return where;
}
