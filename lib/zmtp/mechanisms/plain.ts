import { AuthError, LimitError, ProtocolError } from "../../errors.ts";
import { concat, EMPTY, utf8 } from "../bytes.ts";
import { encodeCommand } from "../frame_encoder.ts";
import type { Mechanism, Secured, Talk } from "./mechanism.ts";
import { authenticate, type ZapOptions } from "./zap.ts";

/** A user name and a password have at most so many bytes each (RFC 24). */
const MAX_CREDENTIAL = 255;

/**
 * PLAIN (RFC 24) as the client: says who it is, in clear text.
 *
 * @throws {LimitError} the name or the password has more than 255 bytes in UTF-8
 */
export function plainClient(username: string, password: string): Mechanism {
  const hello = encodeHello(utf8(username), utf8(password));
  return {
    name: "PLAIN",
    asServer: false,
    optional: false,
    credentials: "our user name and password",
    shake: (talk) => shakeAsClient(talk, hello),
  };
}

/** PLAIN (RFC 24) as the server: the handler gets the user name and the password, and decides. */
export function plainServer(options: ZapOptions): Mechanism {
  return {
    name: "PLAIN",
    asServer: true,
    optional: false,
    credentials: "what we know of users",
    shake: (talk) => shakeAsServer(talk, options),
  };
}

async function shakeAsClient(talk: Talk, hello: Uint8Array): Promise<Secured> {
  await talk.send(hello);
  const welcome = await talk.take("WELCOME", (cause) =>
    new AuthError(
      "The peer hung up when it got our user name and password: it may not accept them, or have no way to check them",
      { cause, certain: false },
    ));
  if (welcome.length > 0) throw new ProtocolError("The peer sent a WELCOME that is not empty (PLAIN)");
  await talk.send(encodeCommand("INITIATE", talk.metadata));
  await talk.admit(await talk.take("READY"), false);
  return { userId: "" };
}

async function shakeAsServer(talk: Talk, options: ZapOptions): Promise<Secured> {
  const { username, password } = decodeHello(await talk.take("HELLO"));
  const userId = await authenticate(talk, "PLAIN", options, [username, password]);
  await talk.send(encodeCommand("WELCOME", EMPTY));
  await talk.admit(await talk.take("INITIATE"));
  await talk.send(encodeCommand("READY", talk.metadata));
  return { userId };
}

/** `ulen username plen password` (RFC 24). */
function encodeHello(username: Uint8Array, password: Uint8Array): Uint8Array {
  for (const [what, { length }] of [["user name", username], ["password", password]] as const) {
    if (length > MAX_CREDENTIAL) {
      throw new LimitError(`The ${what} has ${length} bytes, and PLAIN takes ${MAX_CREDENTIAL} at most`);
    }
  }
  return encodeCommand(
    "HELLO",
    concat([Uint8Array.of(username.length), username, Uint8Array.of(password.length), password]),
  );
}

/** @throws {ProtocolError} it is cut, or bytes are left over */
function decodeHello(data: Uint8Array): { username: Uint8Array; password: Uint8Array } {
  const middle = 1 + (data[0] ?? NaN);
  const end = middle + 1 + (data[middle] ?? NaN);
  // A missing length makes the sum NaN, which equals nothing.
  if (end !== data.length) throw new ProtocolError("The peer sent a malformed HELLO (PLAIN)");
  return { username: data.slice(1, middle), password: data.slice(middle + 1, end) };
}
