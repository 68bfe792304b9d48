/** The contract between the handshake and the security mechanisms. */
import type { Batch } from "../batch.ts";

/**
 * A security mechanism in the client or the server role, with its keys or credentials. Both sides of a connection must
 * use the same mechanism (RFC 37, 2.2; RFC 45). One object serves all connections of a socket.
 */
export interface Mechanism {
  /** The name in the greeting. */
  readonly name: "NULL" | "PLAIN" | "CURVE";
  /** Whether this is the server role, which checks the credentials of the client. */
  readonly asServer: boolean;
}

/** The implementation of a mechanism: the part that only the handshake calls. */
export interface MechanismProtocol {
  /** Whether a peer may use a protocol version without a mechanism (ZMTP 2.0, ZWS without a mechanism). */
  readonly optional: boolean;
  /** What the peer checks, for an error message that explains its refusal: "our public key". */
  readonly credentials: string;
  /** Exchanges the commands of the mechanism until both sides are authenticated. */
  exchange(io: HandshakeIo): Promise<MechanismResult>;
}

const protocols = new WeakMap<Mechanism, MechanismProtocol>();

/** Makes a mechanism whose implementation is not reachable from the object. */
export function defineMechanism(
  name: Mechanism["name"],
  asServer: boolean,
  protocol: MechanismProtocol,
): Mechanism {
  const mechanism = Object.freeze({ name, asServer });
  protocols.set(mechanism, protocol);
  return mechanism;
}

/**
 * The implementation of a mechanism.
 *
 * @throws {TypeError} `mechanism` was not made by a function of this folder
 */
export function protocolOf(mechanism: Mechanism): MechanismProtocol {
  const protocol = protocols.get(mechanism);
  if (protocol === undefined) {
    throw new TypeError(
      "Cannot use this object as a security mechanism: create one with nullMechanism, plainClient, plainServer, " +
        "curveClient or curveServer",
    );
  }
  return protocol;
}

/** The result of a mechanism's exchange. */
export interface MechanismResult {
  /** The user id that the ZAP handler returned; empty if no handler was called (RFC 27). */
  readonly userId: string;
  /** Encrypts and decrypts all later traffic; undefined if the mechanism does not encrypt. */
  readonly cipher?: Cipher;
}

/** The input and output of one handshake, as its mechanism uses them. The handshake's deadline limits every wait. */
export interface HandshakeIo {
  /** Our own metadata, encoded (RFC 37, 2.5). */
  readonly metadata: Uint8Array;
  /** Whether our side opened the connection. */
  readonly dialed: boolean;
  /** The peer's network address; empty if the transport has none. */
  readonly address: string;
  /** Sends a command. */
  send(frame: Uint8Array): Promise<void>;
  /** Waits at most one second for the first byte of the peer, and returns whether it arrived. */
  peerSpeaksFirst(): Promise<boolean>;
  /**
   * Reads the next command and returns its data.
   *
   * @param hungUp converts the error of a peer that closes the connection instead into one that names the likely cause
   * @throws {ProtocolError} it is another command, or not a command
   * @throws {AuthError | IncompatiblePeerError} it is an ERROR command
   */
  take(name: string, hungUp?: (cause: Error) => Error): Promise<Uint8Array>;
  /**
   * Checks the peer's metadata and keeps its socket type and identity.
   *
   * @param reply whether an incompatible peer gets an ERROR command first. Default: true
   * @throws {ProtocolError} the metadata is malformed
   * @throws {IncompatiblePeerError} the peer's socket type is incompatible with ours
   */
  admit(metadata: Uint8Array, reply?: boolean): Promise<void>;
  /** Waits for other work, and fails if the connection or the deadline ends first. */
  wait<T>(work: Promise<T>): Promise<T>;
}

/** The encryption of one connection. */
export interface Cipher {
  /** The largest number of bytes by which encryption makes a frame longer. */
  readonly overhead: number;
  /**
   * Encrypts complete frames that follow each other without gaps. The result is valid until the next call.
   *
   * @throws {LimitError} a frame is too large
   */
  seal(frames: Uint8Array): Uint8Array;
  /** How many bytes of `frames`, counted in complete frames, the first `taken` bytes of their sealed form contain. */
  sealedWithin(frames: Uint8Array, taken: number): number;
  /**
   * Decrypts the bodies of frames and passes the plain frames to `take` as one buffer, valid during the call.
   *
   * @throws {ProtocolError} a frame was not made by the peer, or was already received
   */
  open(batch: Batch, take: (frames: Uint8Array) => void): void;
}
