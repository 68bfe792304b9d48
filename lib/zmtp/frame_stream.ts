import type { ByteStream, FrameStream } from "../transport/stream.ts";

/** Returns a stream that carries ZeroMQ's frames only (RFC 45) as such; undefined for a stream of bytes. */
export function asFrameStream(stream: ByteStream): FrameStream | undefined {
  return "subprotocol" in stream ? stream as FrameStream : undefined;
}
