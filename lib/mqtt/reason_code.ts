import { AUTH } from "./packet_type.ts";

/** The reason codes of MQTT (5.0, 2.4). */
export const REASON = {
  success: 0x00,
  grantedQos1: 0x01,
  grantedQos2: 0x02,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reauthenticate: 0x19,
  unspecified: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecific: 0x83,
  unsupportedProtocolVersion: 0x84,
  clientIdNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdInUse: 0x91,
  packetIdNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  payloadFormatInvalid: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  useAnotherServer: 0x9c,
  serverMoved: 0x9d,
  sharedSubscriptionsNotSupported: 0x9e,
  connectionRateExceeded: 0x9f,
  maximumConnectTime: 0xa0,
  subscriptionIdsNotSupported: 0xa1,
  wildcardSubscriptionsNotSupported: 0xa2,
} as const;

const NAMES = new Map<number, string>(
  Object.entries(REASON).map((
    [name, code],
  ) => [code, name.replace(/[A-Z0-9]+/g, (part) => ` ${part.toLowerCase()}`)]),
);

/** Describes a reason code, for example `0x87 (not authorized)`. */
export function reasonName(code: number): string {
  const name = NAMES.get(code);
  const hex = `0x${code.toString(16).padStart(2, "0")}`;
  return name === undefined ? hex : `${hex} (${name})`;
}

/** The reason codes that each acknowledgement may have (5.0, 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1), by packet type. */
const OF_ACKS: readonly (ReadonlySet<number> | undefined)[] = (() => {
  const publish = new Set<number>([
    REASON.success,
    REASON.noMatchingSubscribers,
    REASON.unspecified,
    REASON.implementationSpecific,
    REASON.notAuthorized,
    REASON.topicNameInvalid,
    REASON.packetIdInUse,
    REASON.quotaExceeded,
    REASON.payloadFormatInvalid,
  ]);
  const release = new Set<number>([REASON.success, REASON.packetIdNotFound]);
  return [undefined, undefined, undefined, undefined, publish, publish, release, release];
})();

/** Whether an acknowledgement of this packet type may have the reason code. */
export function isAckReason(type: number, code: number): boolean {
  return OF_ACKS[type]!.has(code);
}

/** The reason codes of 0x80 and above that no DISCONNECT has (5.0, 3.14.2.1). */
const NOT_AT_END: ReadonlySet<number> = new Set<number>([
  REASON.unsupportedProtocolVersion,
  REASON.clientIdNotValid,
  REASON.badUserNameOrPassword,
  REASON.serverUnavailable,
  REASON.banned,
  REASON.badAuthenticationMethod,
  REASON.packetIdInUse,
  REASON.packetIdNotFound,
]);

/** Whether a DISCONNECT or an AUTH, by its packet type, may have the reason code (5.0, 3.14.2.1, 3.15.2.1). */
export function isEndReason(type: number, code: number): boolean {
  if (code === REASON.success) return true;
  if (type === AUTH) return code === REASON.continueAuthentication || code === REASON.reauthenticate;
  return code === REASON.disconnectWithWill ||
    code >= REASON.unspecified && code <= REASON.wildcardSubscriptionsNotSupported && !NOT_AT_END.has(code);
}
