import { PROTOCOL_HEADER } from "../amqp/frames/frame.ts";
import { messageOf } from "../errors.ts";
import { type Endpoint, formatEndpoint, type HostEndpoint, type WebEndpoint } from "../transport/endpoint.ts";
import { connect } from "../transport/transport.ts";
import { preview } from "../zmtp/bytes.ts";
import { asFrameStream } from "../zmtp/frame_stream.ts";
import { readAmqp } from "./amqp.ts";
import { readBanner } from "./banner.ts";
import { Conversation, startsWith } from "./conversation.ts";
import { readHttp, SUBPROTOCOLS, webRequest } from "./http.ts";
import type { Service } from "./service.ts";
import { tryTls } from "./tls.ts";
import { askZmtp, hearReady, isZmtp } from "./zmtp.ts";

/** What a probe found. */
export type Finding =
  /** Somebody known speaks there. */
  | { readonly outcome: "identified"; readonly endpoint: string; readonly service: Service }
  /** Somebody answers, but what is nothing known: `says` shows the beginning; undefined when it only hangs up. */
  | { readonly outcome: "unknown"; readonly endpoint: string; readonly says: string | undefined }
  /** A connection is accepted, or not even refused, and nothing comes. */
  | { readonly outcome: "silent"; readonly endpoint: string; readonly connected: boolean }
  /** Nobody can be reached. */
  | { readonly outcome: "refused"; readonly endpoint: string; readonly reason: string };

/** How long the peer may take to speak first, and to answer our questions, at most: parts of the time that there is. */
const FIRST = 0.2;
const HEADER = 0.25;
const REQUEST = 0.5;
/** The same for the first two in milliseconds, for a peer that is near; one that is far has as many round trips more. */
const FIRST_MS = 300;
const HEADER_MS = 500;
const ROUND_TRIPS = 4;

/**
 * Finds out what is at an endpoint, within `timeout` milliseconds: see the folder's README for what a peer gets to see.
 *
 * @param endpoint tcp, ipc, unix, tls, ws or wss
 * @throws {EndpointError} it cannot be connected to
 */
export async function probe(endpoint: Endpoint, timeout: number): Promise<Finding> {
  return await new Prober(endpoint, timeout).run();
}

class Prober {
  readonly #endpoint: Endpoint;
  readonly #name: string;
  readonly #deadline: number;
  /** The connection under way. Many a server takes one at a time, so each is closed before the next. */
  #talk: Conversation | undefined;
  /** The first words that nothing known has said. */
  #says: string | undefined;
  #hungUp = false;
  /** How long the last connecting took, in milliseconds. */
  #roundTrip = 0;
  /** Whether somebody complained as TLS does. */
  #alerted = false;

  constructor(endpoint: Endpoint, timeout: number) {
    this.#endpoint = endpoint;
    this.#name = formatEndpoint(endpoint);
    this.#deadline = performance.now() + timeout;
  }

  async run(): Promise<Finding> {
    const endpoint = this.#name;
    try {
      const service = await this.#ask();
      if (service !== undefined) return { outcome: "identified", endpoint, service };
      if (this.#says !== undefined || this.#hungUp) return { outcome: "unknown", endpoint, says: this.#says };
      return { outcome: "silent", endpoint, connected: true };
    } catch (error) {
      if (error instanceof DOMException) return { outcome: "silent", endpoint, connected: false };
      return { outcome: "refused", endpoint, reason: messageOf(error) };
    } finally {
      this.#talk?.close();
    }
  }

  #ask(): Promise<Service | undefined> {
    const endpoint = this.#endpoint;
    switch (endpoint.scheme) {
      case "ws":
      case "wss":
        return this.#askWeb(endpoint);
      case "tls":
        return this.#askTls(endpoint, true);
      case "tcp":
        return this.#askHost(endpoint);
      default:
        return this.#askOver(() => this.#dial(endpoint), "localhost", "/");
    }
  }

  async #askHost(endpoint: HostEndpoint): Promise<Service | undefined> {
    const plain = await this.#askOver(() => this.#dial(endpoint), hostOf(endpoint), "/", endpoint);
    // Some that speak TLS say so in HTTP to whoever does not.
    const mayBeTls = plain === undefined || plain.protocol === "http" && plain.status.startsWith("400");
    return mayBeTls ? await this.#askTls(endpoint, false) ?? plain : plain;
  }

  async #askTls(endpoint: HostEndpoint, only: boolean): Promise<Service | undefined> {
    const tcp: HostEndpoint = { ...endpoint, scheme: "tcp" };
    if (only) await this.#dial(tcp); // Nobody there is not the same as nobody that speaks TLS.
    this.#talk?.close();
    const found = await tryTls(endpoint, this.#left);
    if (found === undefined) return only ? await this.#askHost(tcp) : undefined;
    this.#talk = found.talk;
    let first: Conversation | undefined = found.talk;
    const dial = async () => {
      if (first === undefined) this.#talk?.close();
      const talk = first ?? (await tryTls(endpoint, this.#left))?.talk;
      first = undefined;
      if (talk === undefined) throw new DOMException("late", "TimeoutError");
      return this.#talk = talk;
    };
    const inside = await this.#askOver(dial, hostOf(endpoint), "/").catch(() => undefined);
    return { ...found.service, ...(inside === undefined ? {} : { inside }) };
  }

  async #askWeb(endpoint: WebEndpoint): Promise<Service | undefined> {
    const { scheme, host, port, path } = endpoint;
    const below: HostEndpoint = { scheme: scheme === "ws" ? "tcp" : "tls", host, port };
    if (scheme === "ws") {
      return await this.#askOver(() => this.#dial(below), hostOf(below), path, below) ??
        await this.#askTls(below, false);
    }
    return await this.#hearWeb(endpoint) ?? await this.#askTls(below, true);
  }

  /** Lets the peer speak first, then asks it. `web` is where a WebSocket would be dialed again. */
  async #askOver(
    dial: () => Promise<Conversation>,
    host: string,
    path: string,
    web?: HostEndpoint,
  ): Promise<Service | undefined> {
    const talk = await dial();
    if (await talk.hearsBytes(1, this.#patience(FIRST, FIRST_MS))) return await this.#classify(talk, "");
    await talk.say(PROTOCOL_HEADER, this.#left);
    if (await talk.hearsBytes(1, this.#patience(HEADER, HEADER_MS))) {
      const service = await this.#classify(talk, PROTOCOL_HEADER);
      if (service !== undefined) return service;
    }
    this.#hungUp ||= talk.over;
    if (this.#alerted) return undefined;
    const second = await dial();
    const request = webRequest(host, path);
    await second.say(request, this.#left);
    if (!await second.hearsBytes(1, this.#left * REQUEST)) {
      this.#hungUp ||= second.over;
      return undefined;
    }
    const service = await this.#classify(second, request);
    if (service?.protocol !== "http" || !service.webSocket || web === undefined) return service;
    return await this.#hearWeb({ scheme: "ws", host: web.host, port: web.port, path }) ?? service;
  }

  /** Makes a WebSocket of ZeroMQ, and lets the peer say what it is; undefined when there is none. */
  async #hearWeb(endpoint: WebEndpoint): Promise<Service | undefined> {
    this.#talk?.close();
    try {
      const stream = await connect(endpoint, {
        web: { protocols: SUBPROTOCOLS },
        tls: { insecure: true },
        signal: AbortSignal.timeout(Math.max(1, this.#left)),
      });
      const talk = this.#talk = new Conversation(stream);
      const { subprotocol } = asFrameStream(stream)!;
      const mechanism = subprotocol.split("/")[1];
      const known = { protocol: "zmtp", version: "3.0", subprotocol } as const;
      if (mechanism !== "NULL") return mechanism === undefined ? known : { ...known, mechanism };
      return { ...known, mechanism, ...await hearReady(talk, 0, this.#left) };
    } catch {
      return undefined;
    }
  }

  /** Who says what was heard, given what we had said. */
  async #classify(talk: Conversation, said: Uint8Array | ""): Promise<Service | undefined> {
    const pause = Math.min(300, this.#left);
    if (said !== "" && await talk.hears((heard) => isEcho(heard, said) !== undefined, pause)) {
      if (isEcho(talk.heard, said)) return { protocol: "echo" };
    }
    // A peer of ZMTP speaks first. Version 1.0 begins as an answer of AMQP does, and is not looked for among those.
    const zmtp = (heard: Uint8Array) => said !== "" && heard[0] === 1 ? false : isZmtp(heard);
    await talk.hears((heard) => zmtp(heard) !== undefined, pause);
    if (zmtp(talk.heard)) return await askZmtp(talk, this.#left);
    for (const read of [readAmqp, readHttp]) {
      await talk.hears((heard) => read(heard) !== "more", this.#left);
      const service = read(talk.heard);
      if (service !== undefined && service !== "more") return service;
    }
    await talk.hears((heard) => heard.includes(10), pause);
    const banner = readBanner(talk.heard);
    // An alert of TLS is an answer to what was no TLS (RFC 8446, 6).
    if (talk.heard[0] === 21 && talk.heard[1] === 3) this.#alerted = true;
    else if (banner === undefined) this.#says ??= preview(talk.heard);
    return banner;
  }

  async #dial(endpoint: Endpoint): Promise<Conversation> {
    this.#talk?.close();
    return this.#talk = new Conversation(
      await connect(endpoint, { signal: AbortSignal.timeout(Math.max(1, this.#left)) }),
    );
  }

  #patience(share: number, near: number): number {
    return Math.min(this.#left * share, near + ROUND_TRIPS * this.#roundTrip);
  }

  get #left(): number {
    return Math.max(0, this.#deadline - performance.now());
  }
}

/** Whether what was heard is what was said; undefined while it may become that. */
function isEcho(heard: Uint8Array, said: Uint8Array): boolean | undefined {
  if (heard.length < said.length) return startsWith(said, heard) ? undefined : false;
  return startsWith(heard, said);
}

function hostOf({ host, port }: HostEndpoint): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
