/** The packet types of MQTT (5.0, 2.1.2). */
export const CONNECT = 1;
export const CONNACK = 2;
export const PUBLISH = 3;
export const PUBACK = 4;
export const PUBREC = 5;
export const PUBREL = 6;
export const PUBCOMP = 7;
export const SUBSCRIBE = 8;
export const SUBACK = 9;
export const UNSUBSCRIBE = 10;
export const UNSUBACK = 11;
export const PINGREQ = 12;
export const PINGRESP = 13;
export const DISCONNECT = 14;
export const AUTH = 15;

/** The acknowledgements of a message, which have the same format. */
export type AckType = typeof PUBACK | typeof PUBREC | typeof PUBREL | typeof PUBCOMP;

/** The level of the protocol: MQTT 3.1, 3.1.1 or 5.0. */
export type ProtocolVersion = 3 | 4 | 5;

/** The highest packet size that the fixed header can express, without the header itself, in bytes (5.0, 1.5.5). */
export const MAX_REMAINING = 268_435_455;

const NAMES = [
  "reserved",
  "CONNECT",
  "CONNACK",
  "PUBLISH",
  "PUBACK",
  "PUBREC",
  "PUBREL",
  "PUBCOMP",
  "SUBSCRIBE",
  "SUBACK",
  "UNSUBSCRIBE",
  "UNSUBACK",
  "PINGREQ",
  "PINGRESP",
  "DISCONNECT",
  "AUTH",
];

/** Returns the name of a packet type, as the specification writes it. */
export function packetName(type: number): string {
  return NAMES[type] ?? `packet type ${type}`;
}
