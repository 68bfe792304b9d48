import { formatHost, splitBrokerUrls, type UrlKind } from "../../link/broker_url.ts";
import { formatEndpoint, type HostEndpoint, type InprocEndpoint } from "../../transport/endpoint.ts";

/** The address of an MQTT server, with credentials. */
export interface MqttAddress {
  /** A host, or `inproc` for a broker in this process. */
  readonly endpoint: HostEndpoint | InprocEndpoint;
  /** Undefined: no user name is sent. */
  readonly user: string | undefined;
  /** Undefined: the URL contains no password. */
  readonly password: string | undefined;
}

/** The URLs of MQTT servers, and the topic or filter in their path. */
export interface MqttTarget {
  /** At least one address, in the order of the text. */
  readonly addresses: readonly MqttAddress[];
  /** The path without its first slash; undefined for a URL without a path. */
  readonly topic: string | undefined;
}

/** The default address of an MQTT server. */
export const DEFAULT_MQTT_URL = "mqtt://127.0.0.1:1883";

const KIND: UrlKind = {
  scheme: "mqtt",
  schemes: { mqtt: "tcp", mqtts: "tls", "mqtt+ssl": "tls" },
  names: "mqtt or mqtts",
  ports: { tcp: 1883, tls: 8883 },
  example: DEFAULT_MQTT_URL,
  hashInPath: true,
};

/**
 * Parses the URL of one or several MQTT servers: `mqtt://user:password@host:port/topic`, or `mqtts://…`. Commas separate
 * several hosts of a URL, or several URLs. All parts but the host may be percent-encoded; the slashes, `+` and `#` of the
 * topic need not be.
 *
 * @throws {EndpointError} the URL is malformed; the message does not contain the password
 *
 * @example A topic filter
 * ```ts
 * import { parseMqttUrl } from "./url.ts";
 * const { addresses, topic } = parseMqttUrl("mqtt://me:secret@one,two:1884/sensors/+/temperature");
 * console.assert(addresses.length === 2 && topic === "sensors/+/temperature");
 * ```
 */
export function parseMqttUrl(text: string): MqttTarget {
  let topic: string | undefined;
  const addresses = splitBrokerUrls(text, KIND).flatMap(
    ({ endpoints, user, password, path, query, decode, mistake }) => {
      if (query !== undefined) {
        throw mistake("it has parameters, which MQTT does not know", `${DEFAULT_MQTT_URL}/topic`);
      }
      const own = path === undefined || path === "" ? undefined : decode(path, "the topic");
      if (own !== undefined && own !== (topic ?? own)) {
        throw mistake("its addresses have different topics", "mqtt://one,two/topic");
      }
      topic = own ?? topic;
      return endpoints.map((endpoint) => ({ endpoint, user, password }));
    },
  );
  return { addresses, topic };
}

/** Formats an address for messages and logs, without user and password. */
export function formatMqtt({ endpoint }: MqttAddress): string {
  if (endpoint.scheme === "inproc") return formatEndpoint(endpoint);
  return `${endpoint.scheme === "tls" ? "mqtts" : "mqtt"}://${formatHost(endpoint)}`;
}
