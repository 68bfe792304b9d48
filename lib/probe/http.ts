/** Recognises a web server, and ZeroMQ's WebSocket on it. */
import { parseHead } from "../transport/ws/http.ts";
import { startsWith } from "./probe_connection.ts";
import type { HttpService } from "./service.ts";

/** The subprotocols of ZeroMQ (RFC 45). */
export const SUBPROTOCOLS = ["ZWS2.0/NULL", "ZWS2.0/PLAIN", "ZWS2.0/CURVE", "ZWS2.0"] as const;

/** How much of a refusal is kept, in characters. */
const MAX_WORDS = 200;

/** The request for a page that offers to switch to a WebSocket for ZeroMQ. */
export function webRequest(host: string, path: string): Uint8Array {
  return new TextEncoder().encode(
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: mqcat probe\r\nAccept: */*\r\nConnection: Upgrade\r\n` +
      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bXFjYXQgcHJvYmUuLi4uLg==\r\n" +
      `Sec-WebSocket-Protocol: ${SUBPROTOCOLS.join(", ")}\r\n\r\n`,
  );
}

/** Parses a web server's answer; "more" while it is incomplete, undefined when it is not HTTP. */
export function readHttp(heard: Uint8Array): HttpService | "more" | undefined {
  if (!startsWith(heard, "HTTP/")) return undefined;
  const [text, body = ""] = new TextDecoder("latin1").decode(heard).split("\r\n\r\n");
  if (heard.length === text!.length) return "more";
  try {
    const { line, headers } = parseHead(text!);
    const status = line.replace(/^HTTP\/\S+ /, "").trim();
    const server = headers.get("server");
    const location = headers.get("location");
    const words = body.trim().slice(0, MAX_WORDS);
    const plain = /^[45]/.test(status) && headers.get("content-type")?.startsWith("text/plain") &&
      words !== "";
    return {
      protocol: "http",
      status,
      ...(server === undefined ? {} : { server }),
      ...(location === undefined ? {} : { location }),
      ...(plain ? { says: words.split(/[\r\n]/)[0]! } : {}),
      ...(status.startsWith("101") ? { webSocket: true } : {}),
    };
  } catch {
    return undefined;
  }
}
