/** Recognises ZMTP, and lets the peer describe itself without describing us (RFC 37, 23, 15, 13). */
import { COMMAND, LONG } from "../zmtp/batch.ts";
import { parseCommand, parseError, parseMetadata } from "../zmtp/command.ts";
import { decodeRest, encodeRest, REST_LENGTH, SIGNATURE, SIGNATURE_LENGTH } from "../zmtp/greeting.ts";
import { typeFromWire } from "../zmtp/socket_type.ts";
import type { ProbeConnection } from "./probe_connection.ts";
import type { ZeroMqService } from "./service.ts";

/** Where a greeting of version 3 ends, and of version 2. */
const GREETING = SIGNATURE_LENGTH + 1 + REST_LENGTH;
const GREETING_2 = SIGNATURE_LENGTH + 2;
/** A longer command is ignored, in bytes. */
const MAX_COMMAND = 32 * 1024;

/** Whether the received bytes are the beginning of ZMTP; undefined while both are possible. */
export function isZmtp(heard: Uint8Array): boolean | undefined {
  if (heard.length === 0) return undefined;
  // Version 1.0 begins with a frame: the identity, mostly empty.
  if (heard[0] === 1) return heard.length < 2 ? undefined : heard[1] === 0;
  if (heard[0] !== 0xff) return false;
  return heard.length < SIGNATURE_LENGTH ? undefined : heard[9] === 0x7f;
}

/** Continues the greeting with a ZMTP peer, for at most `ms` milliseconds. */
export async function askZmtp(connection: ProbeConnection, ms: number): Promise<ZeroMqService> {
  const end = performance.now() + ms;
  const left = () => end - performance.now();
  if (connection.heard[0] === 1) return { protocol: "zmtp", version: "1.0" };
  await connection.say(SIGNATURE, left());
  await connection.say(Uint8Array.of(3), left());
  if (!await connection.hearsBytes(SIGNATURE_LENGTH + 1, left())) {
    return { protocol: "zmtp", version: "unknown" };
  }
  const major = connection.heard[SIGNATURE_LENGTH]!;
  if (major === 0) return { protocol: "zmtp", version: "1.0" };
  if (major < 3) return await askVersion2(connection, left());
  if (!await connection.hearsBytes(GREETING, left())) return { protocol: "zmtp", version: "3" };
  const { minor, mechanism } = decodeRest(connection.heard.subarray(SIGNATURE_LENGTH + 1, GREETING));
  const known: ZeroMqService = { protocol: "zmtp", version: `${major}.${minor}`, mechanism };
  if (mechanism !== "NULL") return known;
  await connection.say(encodeRest("NULL", false), left());
  return { ...known, ...await hearReady(connection, GREETING, left()) };
}

/** Reads the peer's READY, which begins at byte `start`. */
export async function hearReady(
  connection: ProbeConnection,
  start: number,
  ms: number,
): Promise<Pick<ZeroMqService, "socketType" | "identity" | "refusal">> {
  if (!await connection.hears((heard) => frameAt(heard, start) !== undefined, ms)) return {};
  try {
    const { name, data } = parseCommand(frameAt(connection.heard, start)!);
    if (name === "ERROR") return { refusal: parseError(data) };
    if (name !== "READY") return {};
    const properties = parseMetadata(data);
    const socketType = properties.get("socket-type");
    const identity = properties.get("identity");
    return {
      ...(socketType === undefined ? {} : { socketType: new TextDecoder().decode(socketType) }),
      ...(identity === undefined || identity.length === 0 ? {} : { identity }),
    };
  } catch {
    return {}; // It is a ZMTP peer nevertheless.
  }
}

async function askVersion2(connection: ProbeConnection, ms: number): Promise<ZeroMqService> {
  const known: ZeroMqService = { protocol: "zmtp", version: "2.0" };
  if (!await connection.hearsBytes(GREETING_2, ms)) return known;
  return { ...known, socketType: typeFromWire(connection.heard[SIGNATURE_LENGTH + 1]!) };
}

/** The body of the command at `start`; undefined while it is incomplete. */
function frameAt(heard: Uint8Array, start: number): Uint8Array | undefined {
  const flags = heard[start];
  if (flags === undefined || heard.length < start + 2) return undefined;
  if ((flags & ~LONG) !== COMMAND) return EMPTY;
  let body = start + 2;
  let length = heard[start + 1]!;
  if ((flags & LONG) !== 0) {
    body = start + 9;
    if (heard.length < body) return undefined;
    length = heard.subarray(start + 1, body).reduce((sum, byte) => sum * 256 + byte, 0);
  }
  if (length > MAX_COMMAND) return EMPTY;
  return heard.length < body + length ? undefined : heard.subarray(body, body + length);
}

const EMPTY = new Uint8Array(0);
