import { PROTOCOL_HEADER } from "../amqp/frames/frame.ts";
import { messageOf } from "../errors.ts";
import {
  type Endpoint,
  formatEndpoint,
  type HostEndpoint,
  toEndpoint,
  type WebEndpoint,
} from "../transport/endpoint.ts";
import { connect } from "../transport/transport.ts";
import { preview } from "../zmtp/bytes.ts";
import { asFrameStream } from "../zmtp/frame_stream.ts";
import { readAmqp } from "./amqp.ts";
import { readBanner } from "./banner.ts";
import { ProbeConnection, startsWith } from "./probe_connection.ts";
import { readHttp, SUBPROTOCOLS, webRequest } from "./http.ts";
import { MQTT_DISCONNECT, MQTT_VERSIONS, mqttConnect, OTHER_VERSION, readMqtt } from "./mqtt.ts";
import type { MqttService, Service, StompService } from "./service.ts";
import { readStomp, STOMP_CONNECT, STOMP_DISCONNECT } from "./stomp.ts";
import { tryTls } from "./tls.ts";
import { askZmtp, hearReady, isZmtp } from "./zmtp.ts";

/** The result of a probe. */
export type Finding =
  /** A known service was recognised. */
  | { readonly outcome: "identified"; readonly endpoint: string; readonly service: Service }
  /** An unknown service answers. `says` shows the beginning of its answer; undefined when it only hangs up. */
  | { readonly outcome: "unknown"; readonly endpoint: string; readonly says: string | undefined }
  /** No answer: the connection was accepted (`connected`), or neither accepted nor refused. */
  | { readonly outcome: "silent"; readonly endpoint: string; readonly connected: boolean }
  /** No program can be reached, for this reason. */
  | { readonly outcome: "refused"; readonly endpoint: string; readonly reason: string };

/** Default time limit, in milliseconds. */
const TIMEOUT = 3000;

/** Limits for the peer's first bytes, and for its answers to the header and the request: shares of the remaining time. */
const FIRST = 0.2;
const HEADER = 0.25;
const REQUEST = 0.5;
/** The same for each CONNECT. */
const CONNECT = 0.3;
/** Limits for the first two in milliseconds, plus this number of round trips. */
const FIRST_MS = 300;
const HEADER_MS = 500;
const ROUND_TRIPS = 4;

/** Options of `probe`. */
export interface ProbeOptions {
  /** Time limit for the whole probe, in milliseconds. Default: 3000. */
  readonly timeout?: number | undefined;
}

/**
 * Finds out which service is at an endpoint. The folder's README lists the bytes that the peer receives.
 *
 * @param endpoint tcp, ipc, unix, tls, ws or wss; see `parseEndpoint`
 * @returns what was found; a peer that cannot be reached is a finding, too
 * @throws {EndpointError} the endpoint is malformed
 *
 * @example Recognise an echo server
 * ```ts
 * import { probe, serveEcho } from "../../mod.ts";
 * await using server = await serveEcho("tcp://127.0.0.1:0");
 * const finding = await probe(server.endpoint, { timeout: 1000 });
 * console.assert(finding.outcome === "identified" && finding.service.protocol === "echo");
 * ```
 */
export async function probe(endpoint: string | Endpoint, options: ProbeOptions = {}): Promise<Finding> {
  return await new Prober(toEndpoint(endpoint), options.timeout ?? TIMEOUT).run();
}

class Prober {
  readonly #endpoint: Endpoint;
  readonly #name: string;
  readonly #deadline: number;
  /** The open connection. Some servers accept only one, so each is closed before the next is opened. */
  #connection: ProbeConnection | undefined;
  /** The beginning of the first answer that was not recognised. */
  #says: string | undefined;
  #hungUp = false;
  /** How long the last connect took, in milliseconds. */
  #roundTrip = 0;
  /** Whether the peer answered with an alert of TLS. */
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
      this.#connection?.close();
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
    // Some web servers with TLS answer plain HTTP with status 400.
    const mayBeTls = plain === undefined || plain.protocol === "http" && plain.status.startsWith("400");
    return mayBeTls ? await this.#askTls(endpoint, false) ?? plain : plain;
  }

  async #askTls(endpoint: HostEndpoint, only: boolean): Promise<Service | undefined> {
    const tcp: HostEndpoint = { ...endpoint, scheme: "tcp" };
    if (only) await this.#dial(tcp); // Throws when no program listens there.
    this.#connection?.close();
    const found = await tryTls(endpoint, this.#left);
    if (found === undefined) return only ? await this.#askHost(tcp) : undefined;
    this.#connection = found.connection;
    let first: ProbeConnection | undefined = found.connection;
    const dial = async () => {
      if (first === undefined) this.#connection?.close();
      const connection = first ?? (await tryTls(endpoint, this.#left))?.connection;
      first = undefined;
      if (connection === undefined) throw new DOMException("late", "TimeoutError");
      return this.#connection = connection;
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

  /** Lets the peer speak first, then sends to it. `web` is where a WebSocket would be dialed again. */
  async #askOver(
    dial: () => Promise<ProbeConnection>,
    host: string,
    path: string,
    web?: HostEndpoint,
  ): Promise<Service | undefined> {
    const connection = await dial();
    if (await connection.hearsBytes(1, this.#patience(FIRST, FIRST_MS))) {
      return await this.#classify(connection, "");
    }
    await connection.say(PROTOCOL_HEADER, this.#left);
    if (await connection.hearsBytes(1, this.#patience(HEADER, HEADER_MS))) {
      const service = await this.#classify(connection, PROTOCOL_HEADER);
      if (service?.protocol === "stomp") return await this.#askStomp(dial) ?? service;
      if (service !== undefined) return service;
    }
    this.#hungUp ||= connection.over;
    if (this.#alerted) return undefined;
    const second = await dial();
    const request = webRequest(host, path);
    await second.say(request, this.#left);
    if (!await second.hearsBytes(1, this.#left * REQUEST)) {
      this.#hungUp ||= second.over;
      return await this.#askMqtt(dial) ?? await this.#askStomp(dial);
    }
    const service = await this.#classify(second, request);
    if (service?.protocol === "stomp") return await this.#askStomp(dial) ?? service;
    if (service?.protocol !== "http" || !service.webSocket || web === undefined) return service;
    return await this.#hearWeb({ scheme: "ws", host: web.host, port: web.port, path }) ?? service;
  }

  /** Sends a CONNECT of MQTT; undefined when the answer is not one of MQTT. */
  async #askMqtt(dial: () => Promise<ProbeConnection>): Promise<MqttService | undefined> {
    for (const version of MQTT_VERSIONS) {
      const connection = await dial();
      await connection.say(mqttConnect(version), this.#left);
      await connection.hears((heard) => readMqtt(heard, version) !== "more", this.#left * CONNECT);
      const found = readMqtt(connection.heard, version);
      if (typeof found === "object") {
        await connection.say(MQTT_DISCONNECT, this.#left);
        return found;
      }
      // A broker of an earlier version answers so, or hangs up.
      if (found !== OTHER_VERSION && !connection.over) return undefined;
    }
    return undefined;
  }

  /** Sends a CONNECT of STOMP; undefined when the answer is not one of STOMP. */
  async #askStomp(dial: () => Promise<ProbeConnection>): Promise<StompService | undefined> {
    const connection = await dial();
    await connection.say(STOMP_CONNECT, this.#left);
    await connection.hears((heard) => readStomp(heard, true) !== "more", this.#left * CONNECT);
    const found = readStomp(connection.heard, true);
    if (typeof found !== "object") return undefined;
    await connection.say(STOMP_DISCONNECT, this.#left);
    return found;
  }

  /** Connects a WebSocket for ZeroMQ, and reads the READY of the peer; undefined when there is none. */
  async #hearWeb(endpoint: WebEndpoint): Promise<Service | undefined> {
    this.#connection?.close();
    try {
      const stream = await connect(endpoint, {
        web: { protocols: SUBPROTOCOLS },
        tls: { insecure: true },
        signal: AbortSignal.timeout(Math.max(1, Math.ceil(this.#left))),
      });
      const connection = this.#connection = new ProbeConnection(stream);
      const { subprotocol } = asFrameStream(stream)!;
      const mechanism = subprotocol.split("/")[1];
      const known = { protocol: "zmtp", version: "3.0", subprotocol } as const;
      if (mechanism !== "NULL") return mechanism === undefined ? known : { ...known, mechanism };
      return { ...known, mechanism, ...await hearReady(connection, 0, this.#left) };
    } catch {
      return undefined;
    }
  }

  /** Recognises the service by the bytes received after we sent `said`. */
  async #classify(connection: ProbeConnection, said: Uint8Array | ""): Promise<Service | undefined> {
    const pause = Math.min(300, this.#left);
    if (said !== "" && await connection.hears((heard) => isEcho(heard, said) !== undefined, pause)) {
      if (isEcho(connection.heard, said)) return { protocol: "echo" };
    }
    // A ZMTP peer speaks first. Version 1.0 begins like a frame of AMQP, so it is not looked for after our header.
    const zmtp = (heard: Uint8Array) => said !== "" && heard[0] === 1 ? false : isZmtp(heard);
    await connection.hears((heard) => zmtp(heard) !== undefined, pause);
    if (zmtp(connection.heard)) return await askZmtp(connection, this.#left);
    for (const read of [readAmqp, readHttp, readStomp]) {
      await connection.hears((heard) => read(heard) !== "more", read === readStomp ? pause : this.#left);
      const service = read(connection.heard);
      if (service !== undefined && service !== "more") return service;
    }
    await connection.hears((heard) => heard.includes(10), pause);
    const banner = readBanner(connection.heard);
    // A TLS server answers other bytes with an alert (RFC 8446, 6).
    if (connection.heard[0] === 21 && connection.heard[1] === 3) this.#alerted = true;
    else if (banner === undefined) this.#says ??= preview(connection.heard);
    return banner;
  }

  async #dial(endpoint: Endpoint): Promise<ProbeConnection> {
    this.#connection?.close();
    return this.#connection = new ProbeConnection(
      await connect(endpoint, { signal: AbortSignal.timeout(Math.max(1, Math.ceil(this.#left))) }),
    );
  }

  #patience(share: number, near: number): number {
    return Math.min(this.#left * share, near + ROUND_TRIPS * this.#roundTrip);
  }

  get #left(): number {
    return Math.max(0, this.#deadline - performance.now());
  }
}

/** Whether the received bytes are those that we sent; undefined while both are possible. */
function isEcho(heard: Uint8Array, said: Uint8Array): boolean | undefined {
  if (heard.length < said.length) return startsWith(said, heard) ? undefined : false;
  return startsWith(heard, said);
}

function hostOf({ host, port }: HostEndpoint): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
