import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { messageOf } from "../errors.ts";
import { PageError } from "./page_error.ts";

/**
 * Reads the body of a request.
 *
 * @param limit in bytes
 * @throws {PageError} 413: it is too large; 400: the connection was lost
 */
export async function readBody(request: IncomingMessage, limit: number): Promise<string> {
  const tooLarge = () => new PageError(413, "too_large", `the body has over ${limit} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > limit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > limit) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof PageError ? error : new PageError(400, "bad_request", messageOf(error));
  }
  return Buffer.concat(chunks).toString();
}
