/** The name of a socket type, as in ZMTP. */
export type SocketType =
  | "PAIR"
  | "PUB"
  | "SUB"
  | "REQ"
  | "REP"
  | "DEALER"
  | "ROUTER"
  | "PULL"
  | "PUSH"
  | "XPUB"
  | "XSUB"
  | "RADIO"
  | "DISH"
  | "CLIENT"
  | "SERVER";

/** The socket types of ZMTP. The index of the first eleven is their number in ZMTP 2.0 (RFC 15). */
const TYPES: readonly SocketType[] = [
  "PAIR",
  "PUB",
  "SUB",
  "REQ",
  "REP",
  "DEALER",
  "ROUTER",
  "PULL",
  "PUSH",
  "XPUB",
  "XSUB",
  "RADIO",
  "DISH",
  "CLIENT",
  "SERVER",
];

/** The compatible peers of each socket type (RFC 23, "Socket-Type"; RFC 41, 48), for the check and its error message. */
const LEGAL_PEERS: Record<SocketType, readonly SocketType[]> = {
  PAIR: ["PAIR"],
  PUB: ["SUB", "XSUB"],
  SUB: ["PUB", "XPUB"],
  REQ: ["REP", "ROUTER"],
  REP: ["REQ", "DEALER"],
  DEALER: ["REP", "DEALER", "ROUTER"],
  ROUTER: ["REQ", "DEALER", "ROUTER"],
  PULL: ["PUSH"],
  PUSH: ["PULL"],
  XPUB: ["SUB", "XSUB"],
  XSUB: ["PUB", "XPUB"],
  RADIO: ["DISH"],
  DISH: ["RADIO"],
  CLIENT: ["SERVER"],
  SERVER: ["CLIENT"],
};

/** Explains why a socket is incompatible with a peer. Returns undefined if they are compatible. */
export function incompatibility(own: SocketType, peer: string): string | undefined {
  if ((LEGAL_PEERS[own] as readonly string[]).includes(peer)) return undefined;
  return `the peer is a ${peer} socket, and ${own} talks to ${legalPeers(own)}`;
}

/** Lists the compatible peers of a socket, for an error message. */
export function legalPeers(own: SocketType): string {
  return LEGAL_PEERS[own].join(" or ");
}

/** The number of a socket type in a ZMTP 2.0 greeting. */
export function typeToWire(type: SocketType): number {
  return TYPES.indexOf(type);
}

/** The socket type of a number in a ZMTP 2.0 greeting. The name of an unknown number contains the number. */
export function typeFromWire(value: number): string {
  return TYPES[value] ?? `type ${value}`;
}
