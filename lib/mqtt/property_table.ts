/** The properties of MQTT 5.0 as data (2.2.2.2): identifier, type, and the packets that may have them. */
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "./packet_type.ts";

/** Stands for the properties of a will, which are in the payload of a CONNECT (3.1.3.2). */
export const WILL = 0;

export type PropertyKind = "byte" | "two" | "four" | "variable" | "text" | "binary" | "pair";

/** One property. */
export interface PropertyRow {
  readonly id: number;
  readonly kind: PropertyKind;
  /** The packets that may have it. */
  readonly packets: readonly number[];
  /** The packets that may have it several times. */
  readonly repeats?: readonly number[];
  /** The lowest and the highest value; another one is a protocol error. */
  readonly min?: number;
  readonly max?: number;
}

const ACKS = [PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK];
const ALL = [WILL, CONNECT, CONNACK, PUBLISH, ...ACKS, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH];

/** By name, in the order of the identifiers. */
export const PROPERTY = {
  payloadFormatIndicator: { id: 1, kind: "byte", packets: [PUBLISH, WILL], max: 1 },
  messageExpiryInterval: { id: 2, kind: "four", packets: [PUBLISH, WILL] },
  contentType: { id: 3, kind: "text", packets: [PUBLISH, WILL] },
  responseTopic: { id: 8, kind: "text", packets: [PUBLISH, WILL] },
  correlationData: { id: 9, kind: "binary", packets: [PUBLISH, WILL] },
  subscriptionIdentifiers: {
    id: 11,
    kind: "variable",
    packets: [PUBLISH, SUBSCRIBE],
    repeats: [PUBLISH],
    min: 1,
  },
  sessionExpiryInterval: { id: 17, kind: "four", packets: [CONNECT, CONNACK, DISCONNECT] },
  assignedClientIdentifier: { id: 18, kind: "text", packets: [CONNACK] },
  serverKeepAlive: { id: 19, kind: "two", packets: [CONNACK] },
  authenticationMethod: { id: 21, kind: "text", packets: [CONNECT, CONNACK, AUTH] },
  authenticationData: { id: 22, kind: "binary", packets: [CONNECT, CONNACK, AUTH] },
  requestProblemInformation: { id: 23, kind: "byte", packets: [CONNECT], max: 1 },
  willDelayInterval: { id: 24, kind: "four", packets: [WILL] },
  requestResponseInformation: { id: 25, kind: "byte", packets: [CONNECT], max: 1 },
  responseInformation: { id: 26, kind: "text", packets: [CONNACK] },
  serverReference: { id: 28, kind: "text", packets: [CONNACK, DISCONNECT] },
  reasonString: { id: 31, kind: "text", packets: [CONNACK, ...ACKS, DISCONNECT, AUTH] },
  receiveMaximum: { id: 33, kind: "two", packets: [CONNECT, CONNACK], min: 1 },
  topicAliasMaximum: { id: 34, kind: "two", packets: [CONNECT, CONNACK] },
  // A value of 0 has a reason code of its own, 0x94.
  topicAlias: { id: 35, kind: "two", packets: [PUBLISH] },
  maximumQos: { id: 36, kind: "byte", packets: [CONNACK], max: 1 },
  retainAvailable: { id: 37, kind: "byte", packets: [CONNACK], max: 1 },
  userProperties: { id: 38, kind: "pair", packets: ALL, repeats: ALL },
  maximumPacketSize: { id: 39, kind: "four", packets: [CONNECT, CONNACK], min: 1 },
  wildcardSubscriptionAvailable: { id: 40, kind: "byte", packets: [CONNACK], max: 1 },
  subscriptionIdentifierAvailable: { id: 41, kind: "byte", packets: [CONNACK], max: 1 },
  sharedSubscriptionAvailable: { id: 42, kind: "byte", packets: [CONNACK], max: 1 },
} as const satisfies Record<string, PropertyRow>;

/** The highest identifier. */
export const MAX_ID = 42;

/** The properties by identifier, with their names. */
export const BY_ID: readonly ((PropertyRow & { readonly name: string }) | undefined)[] = Array.from(
  { length: MAX_ID + 1 },
  (_, id) => {
    const found = Object.entries(PROPERTY).find(([, row]) => row.id === id);
    return found === undefined ? undefined : { name: found[0], ...found[1] };
  },
);
