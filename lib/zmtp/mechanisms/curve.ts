/** CURVE (RFC 26): both sides prove that they have the secret keys they claim, and everything behind is encrypted. */
import { timingSafeEqual } from "node:crypto";
import { AuthError, ProtocolError } from "../../errors.ts";
import { concat } from "../bytes.ts";
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

/** What the nonces of each command begin with; the rest counts, or is random. */
const PREFIX = {
  hello: "CurveZMQHELLO---",
  welcome: "WELCOME-",
  initiate: "CurveZMQINITIATE",
  vouch: "VOUCH---",
  ready: "CurveZMQREADY---",
  fromClient: "CurveZMQMESSAGEC",
  fromServer: "CurveZMQMESSAGES",
} as const;

/** A key in Z85, 40 characters, or as 32 bytes. */
export type CurveKey = string | Uint8Array;

/** A key pair, each half in Z85 or as bytes. */
export interface CurveKeyPair {
  readonly publicKey: CurveKey;
  readonly secretKey: CurveKey;
}

/** What a CURVE client knows. */
export interface CurveClientOptions {
  /** The public key of the server. */
  readonly serverKey: CurveKey;
  /** Who we are; a pair of our own making unless told, for servers that let everybody in. */
  readonly keyPair?: CurveKeyPair | undefined;
}

/** What a CURVE server knows. */
export interface CurveServerOptions {
  readonly keyPair: CurveKeyPair;
  /** Decides which clients are let in; everybody who knows our public key is, unless told. */
  readonly zap?: ZapOptions | undefined;
}

/** A fresh key pair. */
export async function generateKeyPair(): Promise<KeyPair> {
  return (await loadNacl()).keyPair();
}

/**
 * CURVE as the client.
 *
 * @throws {RangeError} a key is malformed
 */
export function curveClient(options: CurveClientOptions): Mechanism {
  const serverKey = keyBytes(options.serverKey);
  let own = options.keyPair && pairBytes(options.keyPair);
  let checked = own === undefined;
  return defineMechanism("CURVE", false, {
    optional: false,
    credentials: "our public key",
    async shake(io) {
      const nacl = await io.wait(loadNacl());
      own ??= nacl.keyPair();
      if (!checked) checkPair(nacl, own);
      checked = true;
      return await shakeAsClient(io, nacl, serverKey, own);
    },
  });
}

/**
 * CURVE as the server.
 *
 * @throws {RangeError} a key is malformed
 *
 * @example Let one client in
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
export function curveServer({ keyPair, zap }: CurveServerOptions): Mechanism {
  const own = pairBytes(keyPair);
  let checked = false;
  return defineMechanism("CURVE", true, {
    optional: false,
    credentials: "our public key",
    async shake(io) {
      const nacl = await io.wait(loadNacl());
      if (!checked) checkPair(nacl, own);
      checked = true;
      return await shakeAsServer(io, nacl, own, zap);
    },
  });
}

async function shakeAsClient(
  io: HandshakeIo,
  nacl: Nacl,
  serverKey: Uint8Array,
  own: KeyPair,
): Promise<MechanismResult> {
  const transient = nacl.keyPair();
  const helloKey = nacl.sharedKey(serverKey, transient.secretKey);
  if (helloKey === undefined) throw new AuthError("The server's public key is none that can be used");
  const hello = counterOf(1);
  await io.send(encodeHello({
    clientKey: transient.publicKey,
    nonce: hello,
    box: nacl.seal(new Uint8Array(64), nonceOf(PREFIX.hello, hello), helloKey),
  }));

  const welcome = decodeWelcome(
    await io.take("WELCOME", (cause) =>
      hungUp(
        "The peer hung up on our HELLO: its public key is probably another than the one we were given",
        cause,
      )),
  );
  const welcomed = nacl.open(welcome.box, nonceOf(PREFIX.welcome, welcome.nonce), helloKey);
  if (welcomed === undefined) {
    throw new AuthError(
      "The peer has not the secret key that belongs to the server's public key we were given",
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
      (cause) => hungUp("The peer hung up when it learned our public key and our socket type", cause),
    ),
  );
  const metadata = nacl.open(ready.box, nonceOf(PREFIX.ready, ready.nonce), key);
  if (metadata === undefined) throw undecipherable("READY");
  await io.admit(metadata, false);
  const cipher = new CurveCipher(nacl.workspace, {
    key,
    sendPrefix: PREFIX.fromClient,
    receivePrefix: PREFIX.fromServer,
    sent: 2,
    received: ready.nonce,
  });
  return { userId: "", cipher };
}

async function shakeAsServer(
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
    await io.send(encodeError("this server has another public key")).catch(() => {});
    throw new AuthError("The peer has another public key for us than ours");
  }
  if (proof.some((byte) => byte !== 0)) throw new ProtocolError("The peer sent a malformed HELLO (CURVE)");

  const transient = nacl.keyPair();
  // A cookie lets a server forget the client between its commands (RFC 26). A connection remembers it, so ours is but
  // a token that only this client can know.
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
    throw new ProtocolError("The peer sent an INITIATE with a nonce that does not grow (CURVE)");
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
    key,
    sendPrefix: PREFIX.fromServer,
    receivePrefix: PREFIX.fromClient,
    sent: 1,
    received: initiate.nonce,
  });
  return { userId, cipher };
}

/** The vouch says that the client with this long-term key has the transient key too, and means this server. */
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

/** Whether the counter `next` is over `last`. */
function grows(last: Uint8Array, next: Uint8Array): boolean {
  const at = last.findIndex((byte, i) => byte !== next[i]);
  return at >= 0 && next[at]! > last[at]!;
}

function hungUp(what: string, cause: Error): AuthError {
  return new AuthError(what, { cause, certain: false });
}

function unusableKey(): ProtocolError {
  return new ProtocolError("The peer sent a public key that is none (CURVE)");
}

function undecipherable(name: string): ProtocolError {
  return new ProtocolError(`The peer sent a ${name} that cannot be decrypted (CURVE)`);
}

/** Two halves of different pairs would have the peer refuse us for a reason that is not true. */
function checkPair(nacl: Nacl, { publicKey, secretKey }: KeyPair): void {
  if (timingSafeEqual(nacl.keyPair(secretKey).publicKey, publicKey)) return;
  throw new AuthError("Our public key does not belong to our secret key: they are of different pairs");
}

function pairBytes({ publicKey, secretKey }: CurveKeyPair): KeyPair {
  return { publicKey: keyBytes(publicKey), secretKey: keyBytes(secretKey) };
}

function keyBytes(key: CurveKey): Uint8Array {
  const bytes = typeof key === "string" ? decodeZ85(key) : key.slice();
  if (bytes.length !== KEY_LENGTH) {
    throw new RangeError(
      `A CURVE key has ${KEY_LENGTH} bytes or 40 characters of Z85: received ${bytes.length} bytes`,
    );
  }
  return bytes;
}
