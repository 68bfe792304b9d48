/** The seam between the handshake and the security mechanisms. */
import type { Batch } from "../batch.ts";

/**
 * A security mechanism in one of its two roles, with what it needs to know: which one a peer meets is agreed on before
 * (RFC 37, 2.2; RFC 45). One object serves all connections of a socket.
 */
export interface Mechanism {
  /** As in the greeting, at most 20 bytes. */
  readonly name: "NULL" | "PLAIN" | "CURVE";
  /** Whether ours is the role that checks the other one. */
  readonly asServer: boolean;
  /** Whether a peer may come without any, in a protocol that knows none (ZMTP 2.0, ZWS without a mechanism). */
  readonly optional: boolean;
  /** Whose refusal a status code of the peer is, for an error message: "our key". */
  readonly credentials: string;
  /** Exchanges the commands of the mechanism, until both sides know each other. */
  shake(talk: Talk): Promise<Secured>;
}

/** What a mechanism has brought about. */
export interface Secured {
  /** Who the peer is by its credentials; empty where nobody asked (RFC 27). */
  readonly userId: string;
  /** What encrypts the connection from now on. */
  readonly cipher?: Cipher;
}

/** One handshake, as its mechanism sees it. All waits are under the deadline of the handshake. */
export interface Talk {
  /** What we say of ourselves, encoded (RFC 37, 2.5). */
  readonly metadata: Uint8Array;
  /** Whether we connected to the peer, and not it to us. */
  readonly dialed: boolean;
  /** The peer's network address; empty where the transport has none. */
  readonly address: string;
  /** Sends a command. */
  send(frame: Uint8Array): Promise<void>;
  /** Whether the peer speaks first; waits a second at most. */
  hears(): Promise<boolean>;
  /**
   * Takes the next command and gives its data.
   *
   * @param hungUp turns the error of a peer that hangs up instead into one that says what that probably means
   * @throws {ProtocolError} it has another name, or is none
   * @throws {AuthError | IncompatiblePeerError} it is an ERROR
   */
  take(name: string, hungUp?: (cause: Error) => Error): Promise<Uint8Array>;
  /**
   * Looks at what the peer says of itself. One that does not fit is told so first, unless it may not be talked to any
   * more.
   *
   * @throws {ProtocolError} it is malformed
   * @throws {IncompatiblePeerError} it has a socket type that we do not talk to
   */
  admit(metadata: Uint8Array, tell?: boolean): Promise<void>;
  /** Waits for something of ours. */
  wait<T>(work: Promise<T>): Promise<T>;
}

/** The encryption of one connection. */
export interface Cipher {
  /** The most by which a frame grows, in bytes. */
  readonly overhead: number;
  /**
   * Encrypts whole frames that lie back to back. The result is valid until the next call.
   *
   * @throws {LimitError} a frame is too large
   */
  seal(frames: Uint8Array): Uint8Array;
  /** How many bytes of `frames`, counted in whole frames, are in the first `taken` bytes of their sealed form. */
  sealedWithin(frames: Uint8Array, taken: number): number;
  /**
   * Decrypts the bodies of frames, and hands on frames that lie back to back; they are valid during the call.
   *
   * @throws {ProtocolError} a frame was not made by the peer, or comes a second time
   */
  open(batch: Batch, take: (frames: Uint8Array) => void): void;
}
