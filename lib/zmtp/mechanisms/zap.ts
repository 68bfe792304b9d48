/** Authentication as in RFC 27 (ZAP), with a function in place of the socket that libzmq asks. */
import { AuthError, messageOf, UnreachableError } from "../../errors.ts";
import { encodeError } from "../command.ts";
import { EMPTY } from "../bytes.ts";
import type { HandshakeIo } from "./mechanism.ts";

/** What a handler is asked: the fields of RFC 27. */
export interface ZapRequest {
  readonly domain: string;
  /** The peer's network address; empty where the transport has none. */
  readonly address: string;
  /** The peer's routing id; empty where it has not said it yet. */
  readonly identity: Uint8Array;
  readonly mechanism: "NULL" | "PLAIN" | "CURVE";
  /** NULL: none. PLAIN: the user name and the password. CURVE: the client's public key, 32 bytes. */
  readonly credentials: readonly Uint8Array[];
}

/** What a handler answers. */
export interface ZapReply {
  /** 200 let it in, 300 not now (it may come again), 400 no, 500 the handler failed. */
  readonly status: 200 | 300 | 400 | 500;
  /** Why, for our own error message; the peer gets the status only. */
  readonly text?: string;
  /** Who the peer is; a socket tells it with the connection. */
  readonly userId?: string;
}

/** Decides whether a peer is let in. What it throws is a 500. It may wait, up to the deadline of the handshake. */
export type ZapHandler = (request: ZapRequest) => ZapReply | Promise<ZapReply>;

/** A handler and the name by which it knows the socket. */
export interface ZapOptions {
  readonly handler: ZapHandler;
  /** `global` unless told. */
  readonly domain?: string;
}

/**
 * Asks the handler, and refuses the peer if it is told so: with the status as the reason, which libzmq understands.
 *
 * @returns the user id
 * @throws {AuthError} the peer is not let in
 * @throws {UnreachableError} it is not let in for now; as in libzmq nothing is said, so that it comes again
 */
export async function authenticate(
  io: HandshakeIo,
  mechanism: ZapRequest["mechanism"],
  { handler, domain = "global" }: ZapOptions,
  credentials: readonly Uint8Array[],
  identity: Uint8Array = EMPTY,
): Promise<string> {
  const request = { domain, address: io.address, identity, mechanism, credentials };
  const { status, text = "", userId = "" } = await io.wait(ask(handler, request));
  if (status === 200) return userId;
  const why = `The peer was refused: ${status}${text === "" ? "" : `, ${text}`}`;
  if (status === 300) throw new UnreachableError(why);
  // It may have hung up by now, which changes nothing.
  await io.send(encodeError(String(status))).catch(() => {});
  throw new AuthError(why);
}

const STATUSES: readonly number[] = [200, 300, 400, 500];

async function ask(handler: ZapHandler, request: ZapRequest): Promise<ZapReply> {
  try {
    const reply = await handler(request);
    return STATUSES.includes(reply.status) ? reply : { status: 500, text: `${reply.status} is no status` };
  } catch (error) {
    return { status: 500, text: `the check failed: ${messageOf(error)}` };
  }
}
