import { type Endpoint, formatEndpoint } from "../../lib/transport/endpoint.ts";
import { carries, schemesFor } from "../../lib/transport/schemes/table.ts";
import { UsageError } from "../app/errors.ts";
import { endpoint } from "../app/values.ts";
import type { TlsValues } from "./tls.ts";

/** The commands that can use udp, with their default there: over udp the sender connects, as in libzmq. */
const DATAGRAMS: Record<string, "bind" | "connect"> = { radio: "connect", dish: "bind" };

/** The endpoints to bind and to connect. */
export interface EndpointPlan {
  readonly bind: readonly Endpoint[];
  readonly connect: readonly Endpoint[];
}

/**
 * Sorts the endpoints of a command line: `@` and `-b` bind, `>` and `-c` connect (`@` and `>` are CZMQ's signs), and
 * other endpoints use the command's default.
 *
 * @param pattern the pattern whose transports are allowed, if it is not the name of the command
 * @throws {UsageError} there is none, or one is malformed
 */
export function planEndpoints(
  command: string,
  usual: "bind" | "connect",
  values: EndpointPlan & Partial<TlsValues>,
  operands: readonly string[],
  pattern: string = command,
): EndpointPlan {
  const bind = [...values.bind];
  const connect = [...values.connect];
  const byDatagrams = DATAGRAMS[pattern];
  for (const operand of operands) {
    if (operand.startsWith("@")) bind.push(endpoint(operand.slice(1)));
    else if (operand.startsWith(">")) connect.push(endpoint(operand.slice(1)));
    else {
      const where = endpoint(operand);
      const way = where.scheme === "udp" ? byDatagrams ?? usual : usual;
      (way === "bind" ? bind : connect).push(where);
    }
  }
  if (bind.length + connect.length === 0) {
    throw new UsageError(`no endpoint was given (try: mqcat ${command} :5555)`);
  }
  const { insecure, cacert, cert, key } = values;
  if ((insecure || (cacert ?? cert ?? key) !== undefined) && ![...bind, ...connect].some(isWss)) {
    throw new UsageError(
      "certificates are for wss://, and no such endpoint is given (CURVE is for any: mqcat keygen)",
    );
  }
  // Both sides of a benchmark can be in one process.
  const isAlone = command !== "bench";
  for (const endpoint of [...bind, ...connect]) {
    if (isAlone && endpoint.scheme === "inproc") throw new UsageError(withinProcess(endpoint, ":5555"));
    const isDatagram = carries(endpoint, "datagrams");
    if (carries(endpoint, "frames") || isDatagram && byDatagrams !== undefined) continue;
    const others = isDatagram ? "radio, dish, echo-server" : "echo-server";
    const usable = schemesFor("frames").filter((scheme) => !isAlone || scheme !== "inproc").join(", ");
    throw new UsageError(
      `${command} takes ${usable}, not ${endpoint.scheme}:// (${others} and echo-client do)`,
    );
  }
  return { bind, connect };
}

/** The mistake in an endpoint that no other program can use. @param remedy an endpoint that one can use */
export function withinProcess(endpoint: Endpoint, remedy: string): string {
  const name = formatEndpoint(endpoint);
  return `${name}: inproc connects within one process, so no other program can be at its other end (try ${remedy})`;
}

function isWss({ scheme }: Endpoint): boolean {
  return scheme === "wss";
}
