import { isFinal, MqcatError, RefusedError, UnreachableError } from "../../errors.ts";
import { MqttError } from "../mqtt_error.ts";
import type { ProtocolVersion } from "../packet_type.ts";
import { REASON, reasonName } from "../reason_code.ts";
import type { MqttAddress } from "./url.ts";

/** Reason codes of temporary errors: the server may accept the next connection. */
const TEMPORARY: ReadonlySet<number> = new Set([
  REASON.unspecified,
  REASON.implementationSpecific,
  REASON.serverUnavailable,
  REASON.serverBusy,
  REASON.serverShuttingDown,
  REASON.keepAliveTimeout,
  REASON.receiveMaximumExceeded,
  REASON.messageRateTooHigh,
  REASON.quotaExceeded,
  REASON.administrativeAction,
  REASON.useAnotherServer,
  REASON.connectionRateExceeded,
  REASON.maximumConnectTime,
]);

/** The reason codes for the return codes 1 to 5 of a CONNACK of MQTT 3.1.1 (3.2.2.3). */
const RETURN_CODES = [
  REASON.success,
  REASON.unsupportedProtocolVersion,
  REASON.clientIdNotValid,
  REASON.serverUnavailable,
  REASON.badUserNameOrPassword,
  REASON.notAuthorized,
];

/** Whether an error is permanent: the server would report it again after a reconnect. */
export function isPermanent(error: unknown): boolean {
  return isFinal(error) && !(error instanceof MqttError && TEMPORARY.has(error.reasonCode));
}

/** Whether a CONNACK refuses the version of the protocol; servers without MQTT 5.0 answer in the form of 3.1.1. */
export function refusesVersion(code: number): boolean {
  return code === 1 || code === REASON.unsupportedProtocolVersion;
}

/** The error for a CONNACK with a code other than 0. */
export function connackError(
  version: ProtocolVersion,
  code: number,
  reason: string | undefined,
  { user }: MqttAddress,
  clientId: string,
): MqcatError {
  const meant = code < REASON.unspecified ? RETURN_CODES[code] ?? code : code;
  const said = `${version < 5 ? `return code ${code}` : reasonName(code)}${reason ? `: ${reason}` : ""}`;
  switch (meant) {
    case REASON.badUserNameOrPassword:
    case REASON.notAuthorized:
    case REASON.banned:
      return new RefusedError(
        user === undefined
          ? `Login refused, as the server requires a user and a password: mqtt://user:password@host (${said})`
          : `Login refused for user '${user}': wrong user or password, or the user may not log in (${said})`,
      );
    case REASON.clientIdNotValid:
      return new RefusedError(`The server does not accept the client identifier '${clientId}' (${said})`);
    default:
      return TEMPORARY.has(meant)
        ? new UnreachableError(`The server refused the connection (${said})`)
        : new RefusedError(`The server refused the connection (${said})`);
  }
}

/** The error for a DISCONNECT of the server (5.0, 3.14). */
export function disconnectError(code: number, reason: string | undefined): MqcatError {
  const said = `${reasonName(code)}${reason ? `: ${reason}` : ""}`;
  const text = code === REASON.sessionTakenOver
    ? `Another client connected with the same client identifier (${said})`
    : `The server closed the connection (${said})`;
  return TEMPORARY.has(code) || code < REASON.unspecified
    ? new UnreachableError(text)
    : new MqttError(code, text);
}
