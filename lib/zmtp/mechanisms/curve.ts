/** CURVE (RFC 26): both sides prove that they have the secret keys of their public keys, and all messages are encrypted. */
import { timingSafeEqual } from "node:crypto";
import { AuthError, ProtocolError } from "../../errors.ts";
import { concat, utf8 } from "../bytes.ts";
import { encodeError, parseMetadata } from "../command.ts";
import { CurveCipher } from "./curve_cipher.ts";
import {
  type ClientIntroduction,
  COOKIE_LENGTH,
  counterOf,
  decodeHello,
  decodeInitiate,
  decodeReady,
  decodeWelcome,
  encodeHello,
  encodeInitiate,
  encodeReady,
  encodeWelcome,
  joinIntroduction,
  nonceOf,
  randomEnd,
  splitIntroduction,
  splitWelcome,
} from "./curve_codec.ts";
import { defineMechanism, type HandshakeIo, type Mechanism, type MechanismResult } from "./mechanism.ts";
import { KEY_LENGTH, type KeyPair, loadNacl, type Nacl } from "./nacl.ts";
import { authenticate, type ZapOptions } from "./zap.ts";
import { decodeZ85 } from "./z85.ts";

/** The first bytes of the nonces of each command. The rest is a counter or random. */
const PREFIX = {
  hello: "CurveZMQHELLO---",
  welcome: "WELCOME-",
  initiate: "CurveZMQINITIATE",
  vouch: "VOUCH---",
  ready: "CurveZMQREADY---",
  fromClient: "CurveZMQMESSAGEC",
  fromServer: "CurveZMQMESSAGES",
} as const;

/** A public or secret key: 40 characters of Z85, or 32 bytes. */
export type CurveKey = string | Uint8Array;

/** A key pair, each key in Z85 or as bytes. */
export interface CurveKeyPair {
  /** The public key, which peers may know. */
  readonly publicKey: CurveKey;
  /** The secret key, which nobody else may know. */
  readonly secretKey: CurveKey;
}

/** Options of `curveClient`. */
export interface CurveClientOptions {
  /** The public key of the server. */
  readonly serverKey: CurveKey;
  /** The client's own key pair. Default: a new random pair, for servers that accept every client. */
  readonly keyPair?: CurveKeyPair | undefined;
}

/** Options of `curveServer`. */
export interface CurveServerOptions {
  /** The server's key pair. Clients need its public key. */
  readonly keyPair: CurveKeyPair;
  /** The handler that accepts or refuses clients. Default: every client that knows the public key is accepted. */
  readonly zap?: ZapOptions | undefined;
}

/**
 * Makes a new random key pair.
 *
 * @returns the pair, 32 bytes per key
 *
 * @example Print a new public key in Z85
 * ```ts
 * import { encodeZ85, generateKeyPair } from "../../../mod.ts";
 * const { publicKey } = await generateKeyPair();
 * console.assert(encodeZ85(publicKey).length === 40);
 * ```
 */
export async function generateKeyPair(): Promise<KeyPair> {
  return (await loadNacl()).keyPair();
}

/**
 * CURVE (RFC 26) as the client: verifies the server by its public key, and encrypts all messages.
 *
 * @param options the server's public key, and the client's key pair
 * @returns the mechanism, for the option `security` of a socket
 * @throws {RangeError} a key is malformed
 *
 * @example Connect to a server by its public key
 * ```ts
 * import { curveClient, curveServer, generateKeyPair, Pull, Push } from "../../../mod.ts";
 * const keyPair = await generateKeyPair();
 * const pull = new Pull({ security: curveServer({ keyPair }) });
 * const push = new Push({ security: curveClient({ serverKey: keyPair.publicKey }) });
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * await push.send("a secret");
 * console.assert((await pull.receive())?.length === 1);
 * await Promise.all([push.close(), pull.close()]);
 * ```
 */
export function curveClient(options: CurveClientOptions): Mechanism {
  const serverKey = keyBytes(options.serverKey);
  let own = options.keyPair && pairBytes(options.keyPair);
  let checked = own === undefined;
  return defineMechanism("CURVE", false, {
    optional: false,
    credentials: "our public key",
    async exchange(io) {
      const nacl = await io.wait(loadNacl());
      own ??= nacl.keyPair();
      if (!checked) checkPair(nacl, own);
      checked = true;
      return await exchangeAsClient(io, nacl, serverKey, own);
    },
  });
}

/**
 * CURVE (RFC 26) as the server: accepts clients by their public keys, and encrypts all messages.
 *
 * @param options the server's key pair, and a handler that checks clients
 * @returns the mechanism, for the option `security` of a socket
 * @throws {RangeError} a key is malformed
 *
 * @example Accept one client
 * ```ts
 * import { allowKeys, curveClient, curveServer, generateKeyPair, Pull, Push } from "../../../mod.ts";
 * const server = await generateKeyPair();
 * const client = await generateKeyPair();
 * const zap = { handler: allowKeys([client.publicKey]) };
 * const pull = new Pull({ security: curveServer({ keyPair: server, zap }) });
 * const push = new Push({ security: curveClient({ serverKey: server.publicKey, keyPair: client }) });
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * await push.send("a secret");
 * const [frame] = await pull.receive() ?? [];
 * console.assert(new TextDecoder().decode(frame) === "a secret");
 * await Promise.all([push.close(), pull.close()]);
 * ```
 */
export function curveServer(options: CurveServerOptions): Mechanism {
  const { zap } = options;
  const own = pairBytes(options.keyPair);
  let checked = false;
  return defineMechanism("CURVE", true, {
    optional: false,
    credentials: "our public key",
    async exchange(io) {
      const nacl = await io.wait(loadNacl());
      if (!checked) checkPair(nacl, own);
      checked = true;
      return await exchangeAsServer(io, nacl, own, zap);
    },
  });
}

async function exchangeAsClient(
  io: HandshakeIo,
  nacl: Nacl,
  serverKey: Uint8Array,
  own: KeyPair,
): Promise<MechanismResult> {
  const transient = nacl.keyPair();
  const helloKey = nacl.sharedKey(serverKey, transient.secretKey);
  if (helloKey === undefined) {
    throw new AuthError("Cannot use the server's public key: it is not a valid X25519 key");
  }
  const hello = counterOf(1);
  await io.send(encodeHello({
    clientKey: transient.publicKey,
    nonce: hello,
    box: nacl.seal(new Uint8Array(64), nonceOf(PREFIX.hello, hello), helloKey),
  }));

  const welcome = decodeWelcome(
    await io.take("WELCOME", (cause) =>
      hungUp(
        "The peer closed the connection after our HELLO: its public key probably differs from the one that we were given",
        cause,
      )),
  );
  const welcomed = nacl.open(welcome.box, nonceOf(PREFIX.welcome, welcome.nonce), helloKey);
  if (welcomed === undefined) {
    throw new AuthError(
      "The peer does not have the secret key for the server's public key that we were given",
    );
  }
  const { serverKey: serverTransient, cookie } = splitWelcome(welcomed);
  const key = nacl.sharedKey(serverTransient, transient.secretKey);
  const vouchKey = nacl.sharedKey(serverTransient, own.secretKey);
  if (key === undefined || vouchKey === undefined) throw unusableKey();

  const vouchNonce = randomEnd();
  const introduction = joinIntroduction({
    key: own.publicKey,
    vouchNonce,
    vouch: nacl.seal(concat([transient.publicKey, serverKey]), nonceOf(PREFIX.vouch, vouchNonce), vouchKey),
    metadata: io.metadata,
  });
  const initiate = counterOf(2);
  await io.send(encodeInitiate({
    cookie,
    nonce: initiate,
    box: nacl.seal(introduction, nonceOf(PREFIX.initiate, initiate), key),
  }));

  const ready = decodeReady(
    await io.take(
      "READY",
      (cause) =>
        hungUp(
          "The peer closed the connection during the handshake; it knew our public key and our socket type",
          cause,
        ),
    ),
  );
  const metadata = nacl.open(ready.box, nonceOf(PREFIX.ready, ready.nonce), key);
  if (metadata === undefined) throw undecipherable("READY");
  await io.admit(metadata, false);
  const cipher = new CurveCipher(nacl.workspace, {
    sendKey: nacl.streamKey(key, utf8(PREFIX.fromClient)),
    receiveKey: nacl.streamKey(key, utf8(PREFIX.fromServer)),
    sent: 2,
    received: ready.nonce,
  });
  return { userId: "", cipher };
}

async function exchangeAsServer(
  io: HandshakeIo,
  nacl: Nacl,
  own: KeyPair,
  zap: ZapOptions | undefined,
): Promise<MechanismResult> {
  const hello = decodeHello(await io.take("HELLO"));
  const helloKey = nacl.sharedKey(hello.clientKey, own.secretKey);
  if (helloKey === undefined) throw unusableKey();
  const proof = nacl.open(hello.box, nonceOf(PREFIX.hello, hello.nonce), helloKey);
  if (proof === undefined) {
    await io.send(encodeError("this server has a different public key")).catch(() => {});
    throw new AuthError("The peer was given a public key for us that is not ours");
  }
  if (proof.some((byte) => byte !== 0)) throw new ProtocolError("The peer sent a malformed HELLO (CURVE)");

  const transient = nacl.keyPair();
  // The cookie exists for servers that keep no state between the commands of a client (RFC 26). We keep the state of the
  // connection, so our cookie is a random token that only this client can know.
  const cookie = crypto.getRandomValues(new Uint8Array(COOKIE_LENGTH));
  const welcome = randomEnd();
  const welcomed = concat([transient.publicKey, cookie]);
  await io.send(encodeWelcome({
    nonce: welcome,
    box: nacl.seal(welcomed, nonceOf(PREFIX.welcome, welcome), helloKey),
  }));

  const initiate = decodeInitiate(await io.take("INITIATE"));
  if (!timingSafeEqual(initiate.cookie, cookie)) {
    throw new ProtocolError("The peer sent a cookie that is not ours (CURVE)");
  }
  if (!grows(hello.nonce, initiate.nonce)) {
    throw new ProtocolError("The peer sent an INITIATE with a nonce that does not increase (CURVE)");
  }
  const key = nacl.sharedKey(hello.clientKey, transient.secretKey);
  if (key === undefined) throw unusableKey();
  const introduced = nacl.open(initiate.box, nonceOf(PREFIX.initiate, initiate.nonce), key);
  if (introduced === undefined) throw undecipherable("INITIATE");
  const introduction = splitIntroduction(introduced);
  checkVouch(nacl, introduction, hello.clientKey, own, transient);

  const userId = zap === undefined ? "" : await authenticate(
    io,
    "CURVE",
    zap,
    [introduction.key],
    parseMetadata(introduction.metadata).get("identity"),
  );
  await io.admit(introduction.metadata);
  const ready = counterOf(1);
  await io.send(
    encodeReady({ nonce: ready, box: nacl.seal(io.metadata, nonceOf(PREFIX.ready, ready), key) }),
  );
  const cipher = new CurveCipher(nacl.workspace, {
    sendKey: nacl.streamKey(key, utf8(PREFIX.fromServer)),
    receiveKey: nacl.streamKey(key, utf8(PREFIX.fromClient)),
    sent: 1,
    received: initiate.nonce,
  });
  return { userId, cipher };
}

/** The vouch proves that the owner of the long-term key also has the transient key, and addresses this server. */
function checkVouch(
  nacl: Nacl,
  { key, vouchNonce, vouch }: ClientIntroduction,
  clientKey: Uint8Array,
  own: KeyPair,
  transient: KeyPair,
): void {
  const vouchKey = nacl.sharedKey(key, transient.secretKey);
  const vouched = vouchKey && nacl.open(vouch, nonceOf(PREFIX.vouch, vouchNonce), vouchKey);
  if (vouched === undefined || !timingSafeEqual(vouched, concat([clientKey, own.publicKey]))) {
    throw new ProtocolError("The peer cannot prove that the public key it named is its own (CURVE)");
  }
}

/** Whether the counter `next` is greater than `last`. */
function grows(last: Uint8Array, next: Uint8Array): boolean {
  const at = last.findIndex((byte, i) => byte !== next[i]);
  return at >= 0 && next[at]! > last[at]!;
}

function hungUp(what: string, cause: Error): AuthError {
  return new AuthError(what, { cause, certain: false });
}

function unusableKey(): ProtocolError {
  return new ProtocolError("The peer sent an invalid public key (CURVE)");
}

function undecipherable(name: string): ProtocolError {
  return new ProtocolError(`The peer sent a ${name} that cannot be decrypted (CURVE)`);
}

/** Checks that both keys are of one pair. Otherwise, the peer would refuse us with a misleading reason. */
function checkPair(nacl: Nacl, { publicKey, secretKey }: KeyPair): void {
  if (timingSafeEqual(nacl.keyPair(secretKey).publicKey, publicKey)) return;
  throw new AuthError("Our public key does not belong to our secret key: use the two keys of one pair");
}

function pairBytes({ publicKey, secretKey }: CurveKeyPair): KeyPair {
  return { publicKey: keyBytes(publicKey), secretKey: keyBytes(secretKey) };
}

function keyBytes(key: CurveKey): Uint8Array {
  const bytes = typeof key === "string" ? decodeZ85(key) : key.slice();
  if (bytes.length !== KEY_LENGTH) {
    throw new RangeError(
      `Cannot use a CURVE key of ${bytes.length} bytes: expected ${KEY_LENGTH} bytes, or 40 characters of Z85`,
    );
  }
  return bytes;
}
