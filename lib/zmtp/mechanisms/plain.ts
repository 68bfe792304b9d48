import { AuthError, LimitError, ProtocolError } from "../../errors.ts";
import { concat, EMPTY, utf8 } from "../bytes.ts";
import { encodeCommand } from "../frame_encoder.ts";
import { defineMechanism, type HandshakeIo, type Mechanism, type MechanismResult } from "./mechanism.ts";
import { authenticate, type ZapOptions } from "./zap.ts";

/** The limit of a user name and of a password, in bytes (RFC 24). */
const MAX_CREDENTIAL = 255;

/**
 * PLAIN (RFC 24) as the client: sends a user name and a password in clear text.
 *
 * @param username at most 255 bytes in UTF-8
 * @param password at most 255 bytes in UTF-8
 * @returns the mechanism, for the option `security` of a socket
 * @throws {LimitError} the user name or the password is longer than 255 bytes
 *
 * @example Log in with a user name and a password
 * ```ts
 * import { plainClient, Push } from "../../../mod.ts";
 * const push = new Push({ security: plainClient("jane", "s3cret") });
 * await push.close();
 * ```
 */
export function plainClient(username: string, password: string): Mechanism {
  const hello = encodeHello(utf8(username), utf8(password));
  return defineMechanism("PLAIN", false, {
    optional: false,
    credentials: "our user name and password",
    exchange: (io) => exchangeAsClient(io, hello),
  });
}

/**
 * PLAIN (RFC 24) as the server: a handler checks the user name and the password of each client.
 *
 * @param options the handler; `allowUsers` makes one from a list of users
 * @returns the mechanism, for the option `security` of a socket
 *
 * @example Accept one user
 * ```ts
 * import { allowUsers, plainClient, plainServer, Pull, Push } from "../../../mod.ts";
 * const handler = allowUsers(new Map([["jane", "s3cret"]]));
 * const pull = new Pull({ security: plainServer({ handler }) });
 * const push = new Push({ security: plainClient("jane", "s3cret") });
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * await push.send("hello");
 * console.assert((await pull.receive())?.length === 1);
 * await Promise.all([push.close(), pull.close()]);
 * ```
 */
export function plainServer(options: ZapOptions): Mechanism {
  return defineMechanism("PLAIN", true, {
    optional: false,
    credentials: "our PLAIN server",
    exchange: (io) => exchangeAsServer(io, options),
  });
}

async function exchangeAsClient(io: HandshakeIo, hello: Uint8Array): Promise<MechanismResult> {
  await io.send(hello);
  const welcome = await io.take("WELCOME", (cause) =>
    new AuthError(
      "The peer closed the connection when it received our user name and password: it may not accept them, or have no way to check them",
      { cause, certain: false },
    ));
  if (welcome.length > 0) throw new ProtocolError("The peer sent a WELCOME that is not empty (PLAIN)");
  await io.send(encodeCommand("INITIATE", io.metadata));
  await io.admit(await io.take("READY"), false);
  return { userId: "" };
}

async function exchangeAsServer(io: HandshakeIo, options: ZapOptions): Promise<MechanismResult> {
  const { username, password } = decodeHello(await io.take("HELLO"));
  const userId = await authenticate(io, "PLAIN", options, [username, password]);
  await io.send(encodeCommand("WELCOME", EMPTY));
  await io.admit(await io.take("INITIATE"));
  await io.send(encodeCommand("READY", io.metadata));
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

/** @throws {ProtocolError} the data is cut short, or longer than its length fields say */
function decodeHello(data: Uint8Array): { username: Uint8Array; password: Uint8Array } {
  const middle = 1 + (data[0] ?? NaN);
  const end = middle + 1 + (data[middle] ?? NaN);
  // A missing length makes the sum NaN, which is not equal to any length.
  if (end !== data.length) throw new ProtocolError("The peer sent a malformed HELLO (PLAIN)");
  return { username: data.slice(1, middle), password: data.slice(middle + 1, end) };
}
