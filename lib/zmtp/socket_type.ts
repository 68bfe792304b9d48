/** The socket types of ZMTP; the first nine at the index that ZMTP 2.0 gives them on the wire (RFC 15). */
const TYPES = [
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
] as const;

export type SocketType = typeof TYPES[number];

/** Who may talk to whom (RFC 23, "Socket-Type"; RFC 41, 48). One table serves the check and its error message. */
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

/** Why a socket cannot talk to a peer, in words, or undefined when it can. */
export function incompatibility(own: SocketType, peer: string): string | undefined {
  if ((LEGAL_PEERS[own] as readonly string[]).includes(peer)) return undefined;
  return `the peer is a ${peer} socket, and ${own} talks to ${legalPeers(own)}`;
}

/** Whom a socket can talk to, in words. */
export function legalPeers(own: SocketType): string {
  return LEGAL_PEERS[own].join(" or ");
}

/** The number of a type in a ZMTP 2.0 greeting. */
export function typeToWire(type: SocketType): number {
  return TYPES.indexOf(type);
}

/** The type behind a number of a ZMTP 2.0 greeting; unknown numbers keep their number as the name. */
export function typeFromWire(value: number): string {
  return TYPES[value] ?? `type ${value}`;
}
