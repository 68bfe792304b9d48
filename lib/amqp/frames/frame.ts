/** Frame types (AMQP 0-9-1, 4.2.3). */
export const METHOD = 1;
export const HEADER = 2;
export const BODY = 3;
export const HEARTBEAT = 8;

/** The octet after every frame. */
export const FRAME_END = 0xce;
/** The size of type, channel and payload size before the payload, in bytes. */
export const FRAME_HEAD = 7;
/** The size of a frame without its payload, in bytes. */
export const FRAME_OVERHEAD = 8;
/** The minimum of frame_max, which applies until tuning is finished, in bytes (4.2.3). */
export const FRAME_MIN_SIZE = 4096;

/** The first bytes of a client, and the reply of a server to other first bytes (4.2.2): "AMQP" 0 0 9 1. */
export const PROTOCOL_HEADER: Uint8Array = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1);

/**
 * Checks a frame size, and returns it.
 *
 * @throws {RangeError} `frameMax` is not an integer of at least 4096
 */
export function checkFrameMax(frameMax: number): number {
  if (Number.isSafeInteger(frameMax) && frameMax >= FRAME_MIN_SIZE) return frameMax;
  throw new RangeError(
    `Cannot set the frame size as 'frameMax' must be an integer of at least ${FRAME_MIN_SIZE}: received ${frameMax}`,
  );
}
