/** The security of the two sides of a ZeroMQ benchmark. */
import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { Values } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import type { socket } from "../options/options.ts";
import { socketOptions } from "../zmq/socket.ts";
import type { Role } from "./spec.ts";

/** The values of the options that concern the sockets. */
export type SocketValues = Values<typeof socket> & {
  readonly curve: boolean | undefined;
  readonly hwm: number | undefined;
};

/**
 * The options of the socket that binds, and of those that connect.
 *
 * @throws {UsageError} the security options contradict each other, or do not fit the role
 */
export async function securityPair(
  session: Session,
  role: Role,
  values: SocketValues,
): Promise<{ binding: SocketOptions; connecting: SocketOptions }> {
  const { curve, hwm } = values;
  const common = { ...await socketOptions(session, values), hwm };
  if (role === "both" && common.security !== undefined) {
    throw new UsageError(
      "these security options are for one side, --role send or receive: use --curve for both",
    );
  }
  if (!curve) return { binding: common, connecting: common };
  if (role !== "both") {
    throw new UsageError(
      "--curve is for both sides in this process: one side has --curve-server or --curve-server-key",
    );
  }
  const { curveClient, curveServer, generateKeyPair } = await import("../../lib/zmtp/mechanisms/curve.ts");
  const keyPair = await generateKeyPair();
  return {
    binding: { ...common, security: curveServer({ keyPair }) },
    connecting: { ...common, security: curveClient({ serverKey: keyPair.publicKey }) },
  };
}
