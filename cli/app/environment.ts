import process from "node:process";
import type { BrokerSystem } from "../../lib/patterns/address.ts";

/**
 * The password in the environment: `$MQCAT_PASSWORD`, else that of one system, such as `$AMQP_PASSWORD`, which
 * version 0.1.0 had.
 */
export function passwordOf(system?: BrokerSystem): string | undefined {
  return process.env["MQCAT_PASSWORD"] ?? (system && process.env[`${system.toUpperCase()}_PASSWORD`]);
}
