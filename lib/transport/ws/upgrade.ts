/** The opening handshake of a WebSocket, for the client and for the server (RFC 6455, 4). */
import { createHash } from "node:crypto";
import { IncompatiblePeerError, ProtocolError, UnreachableError } from "../../errors.ts";
import type { ByteStream } from "../stream.ts";
import { exchangeHeads, type Head, listOf } from "./http.ts";
import { WsStream } from "./stream.ts";

/** Options of both ends. */
export interface UpgradeOptions {
  /** Subprotocols, the preferred one first. */
  readonly protocols: readonly string[];
  /** The largest message that is collected from fragments, in bytes. */
  readonly maxMessage: number;
  /** Whether messages carry a stream of bytes, not ZeroMQ's frames. */
  readonly bytes: boolean;
}

/** Options of the server. */
export interface AcceptOptions extends UpgradeOptions {
  /** The path that is served; `/` serves any path. */
  readonly path: string;
  /** Origins of web pages that may connect, such as `https://example.org`; pages of this machine may always connect. */
  readonly origins: readonly string[];
}

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** How much of a server's refusal is kept in the error, in characters. */
const MAX_WORDS = 200;
/** How long a refused client may take to read the reason, in milliseconds. */
const FAREWELL_MS = 500;

/**
 * Asks the server at the other end of `stream` for a WebSocket.
 *
 * @param host the value of the Host header
 * @throws {IncompatiblePeerError} the server refuses, or wants another subprotocol
 * @throws {ProtocolError} the server does not speak HTTP, or violates RFC 6455
 * @throws {UnreachableError} the server is not available (status 500 or more), or closed the connection
 */
export async function upgrade(
  stream: ByteStream,
  host: string,
  path: string,
  options: UpgradeOptions,
  signal: AbortSignal,
): Promise<WsStream> {
  const key = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
  const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: ${options.protocols.join(", ")}\r\n` +
    "Sec-WebSocket-Version: 13\r\n\r\n";
  const { head, ...remains } = await exchangeHeads(stream, new TextEncoder().encode(request), signal);
  const status = /^HTTP\/1\.1 (\d{3})/.exec(head.line)?.[1];
  if (status === undefined) throw new ProtocolError("The peer does not answer like an HTTP server");
  if (status !== "101") throw refusal(Number(status), head, remains.rest);
  const { headers } = head;
  if (
    headers.get("upgrade")?.toLowerCase() !== "websocket" ||
    headers.get("sec-websocket-accept") !== acceptFor(key)
  ) {
    throw new ProtocolError("The server's answer does not belong to our request for a WebSocket");
  }
  const protocol = headers.get("sec-websocket-protocol") ?? "";
  if (!options.protocols.includes(protocol)) {
    throw new IncompatiblePeerError(
      protocol === ""
        ? `the server has a WebSocket there, but does not speak ZeroMQ on it`
        : `the server wants ${protocol}, and this side speaks ${options.protocols.join(" or ")}`,
    );
  }
  return new WsStream(stream, protocol, true, options, remains);
}

/**
 * Answers a client that asks for a WebSocket. If it throws an `IncompatiblePeerError`, the answer gave the reason.
 *
 * @throws {IncompatiblePeerError} the request does not fit this server, or is not allowed
 * @throws {ProtocolError} the client does not speak HTTP, or violates RFC 6455
 * @throws {UnreachableError} the client closed the connection
 */
export async function acceptUpgrade(
  stream: ByteStream,
  options: AcceptOptions,
  signal: AbortSignal,
): Promise<WsStream> {
  const { head, ...remains } = await exchangeHeads(stream, undefined, signal);
  const { headers } = head;
  const request = /^GET (\S+) HTTP\/1\.1$/.exec(head.line);
  const key = headers.get("sec-websocket-key") ?? "";
  const refuse = (status: string, words: string, more = ""): never => {
    answer(
      stream,
      `HTTP/1.1 ${status}\r\nConnection: close\r\n${more}Content-Type: text/plain; charset=utf-8\r\n` +
        `Content-Length: ${new TextEncoder().encode(words).length + 1}\r\n\r\n${words}\n`,
    );
    throw new IncompatiblePeerError(words);
  };
  if (request === null) {
    return refuse("400 Bad Request", "this is a WebSocket, and the request is not one for a WebSocket");
  }
  if (!isServed(request[1]!, options.path)) {
    return refuse("404 Not Found", `nothing is at '${request[1]}' here`);
  }
  if (
    headers.get("upgrade")?.toLowerCase() !== "websocket" ||
    !listOf(headers.get("connection")).some((word) => word.toLowerCase() === "upgrade")
  ) {
    const words = `this is a WebSocket${options.bytes ? "" : " for ZeroMQ"}`;
    return refuse("426 Upgrade Required", words, "Upgrade: websocket\r\n");
  }
  if (headers.get("sec-websocket-version") !== "13") {
    return refuse("426 Upgrade Required", "the version is 13", "Sec-WebSocket-Version: 13\r\n");
  }
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) {
    return refuse("400 Bad Request", "the Sec-WebSocket-Key is not 16 bytes in base64");
  }
  const origin = headers.get("origin");
  if (origin !== undefined && !isAllowed(origin, options.origins)) {
    return refuse("403 Forbidden", `web pages of '${origin}' may not connect here`);
  }
  const offered = listOf(headers.get("sec-websocket-protocol"));
  const protocol = options.protocols.find((protocol) => offered.includes(protocol));
  if (protocol === undefined) {
    return refuse(
      "400 Bad Request",
      `the client wants ${offered.join(" or ") || "no subprotocol"}, and this side speaks ${
        options.protocols.join(" or ")
      }`,
    );
  }
  stream.write(new TextEncoder().encode(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${acceptFor(key)}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
  ));
  return new WsStream(stream, protocol, false, options, { ...remains, writing: true });
}

/** Computes the proof that a server has read the client's key (RFC 6455, 4.2.2). */
export function acceptFor(key: string): string {
  return createHash("sha1").update(key + GUID).digest("base64");
}

/** Whether a path is served. libzmq asks for the last segment of a path only. */
function isServed(asked: string, path: string): boolean {
  const [pathname] = asked.split("?");
  const [own] = path.split("?");
  return own === "/" || pathname === own || pathname === own!.slice(own!.lastIndexOf("/"));
}

/**
 * Whether a web page may connect. A browser lets every page connect to this machine, and only says where the page comes
 * from: pages of other machines are refused unless their origin is listed.
 */
function isAllowed(origin: string, origins: readonly string[]): boolean {
  if (origins.includes(origin) || origins.includes("*")) return true;
  return /^https?:\/\/(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(origin);
}

function refusal(status: number, head: Head, body: Uint8Array): Error {
  const words = new TextDecoder().decode(body).trim().slice(0, MAX_WORDS);
  const text = `the server answers ${head.line.replace(/^HTTP\/1\.1 /, "").slice(0, MAX_WORDS)}${
    words === "" || words.startsWith("<") ? "" : `: ${words}`
  }`;
  // Such an answer may be temporary: a proxy gives it while its server is down.
  return status >= 500 ? new UnreachableError(text) : new IncompatiblePeerError(text);
}

/** Sends a last answer, and gives the peer a moment to read it. */
function answer(stream: ByteStream, text: string): void {
  const timer = setTimeout(() => stream.close(), FAREWELL_MS);
  stream.closed.then(() => clearTimeout(timer));
  stream.attach({ onData() {}, onEnd: () => stream.close(), onDrain() {} });
  stream.write(new TextEncoder().encode(text));
  stream.end();
  stream.resume();
}
