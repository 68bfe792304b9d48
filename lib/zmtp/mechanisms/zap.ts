/** Authentication as in ZAP (RFC 27), with a function as the handler where libzmq uses a socket. */
import { AuthError, messageOf, UnreachableError } from "../../errors.ts";
import { encodeError } from "../command.ts";
import { EMPTY } from "../bytes.ts";
import type { HandshakeIo } from "./mechanism.ts";

/** A request to a ZAP handler, with the fields of RFC 27. */
export interface ZapRequest {
  /** The domain from the options of the socket. */
  readonly domain: string;
  /** The peer's network address; empty if the transport has none. */
  readonly address: string;
  /** The peer's routing id; empty if the peer has not sent it yet. */
  readonly identity: Uint8Array;
  /** The security mechanism of the socket. */
  readonly mechanism: "NULL" | "PLAIN" | "CURVE";
  /** NULL: empty. PLAIN: the user name and the password, in UTF-8. CURVE: the client's public key, 32 bytes. */
  readonly credentials: readonly Uint8Array[];
}

/** The reply of a ZAP handler. */
export interface ZapReply {
  /** 200 accepts the peer, 300 refuses it for now (it may try again), 400 refuses it, 500 reports a failed check. */
  readonly status: 200 | 300 | 400 | 500;
  /** The reason, for the error message on our side. The peer gets the status only. */
  readonly text?: string;
  /** The user id of the peer. The event `connected` of the socket contains it. */
  readonly userId?: string;
}

/**
 * Accepts or refuses a peer. An exception counts as status 500. A promise must settle before the deadline of the
 * handshake.
 *
 * @param request the peer and its credentials
 * @returns the decision
 */
export type ZapHandler = (request: ZapRequest) => ZapReply | Promise<ZapReply>;

/** A ZAP handler with its domain. */
export interface ZapOptions {
  /** The function that accepts or refuses peers. */
  readonly handler: ZapHandler;
  /** The domain in each request, so that one handler can serve several sockets. Default: `global`. */
  readonly domain?: string;
}

/**
 * Calls the handler. A refused peer gets an ERROR command with the status as its reason, which libzmq understands.
 *
 * @returns the user id
 * @throws {AuthError} the peer is refused
 * @throws {UnreachableError} the peer is refused for now; as in libzmq, it gets no ERROR, so that it connects again
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
  // The peer may have closed the connection already. The result is the same.
  await io.send(encodeError(String(status))).catch(() => {});
  throw new AuthError(why);
}

const STATUSES: readonly number[] = [200, 300, 400, 500];

async function ask(handler: ZapHandler, request: ZapRequest): Promise<ZapReply> {
  try {
    const reply = await handler(request);
    return STATUSES.includes(reply.status)
      ? reply
      : { status: 500, text: `the handler returned an unknown status: ${reply.status}` };
  } catch (error) {
    return { status: 500, text: `the check failed: ${messageOf(error)}` };
  }
}
