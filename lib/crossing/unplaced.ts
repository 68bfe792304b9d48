import { PROPERTY, PropertyScan } from "../amqp/property_scan.ts";
import { isSent } from "./stomp/headers.ts";

type Property = keyof typeof PROPERTY;

/** The names of the properties that a system has no place for. */
const UNPLACED: Readonly<Record<"mqtt" | "stomp", Readonly<Partial<Record<Property, string>>>>> = {
  mqtt: {
    contentEncoding: "content_encoding",
    priority: "priority",
    messageId: "message_id",
    timestamp: "timestamp",
    type: "type",
    userId: "user_id",
    appId: "app_id",
    clusterId: "cluster_id",
  },
  stomp: { clusterId: "cluster_id" },
};

const scan = new PropertyScan();

/**
 * Names the properties and headers of a message that have no place in a system, which are not sent. Values of headers are
 * sent as text; in MQTT all of them are, lists and tables as JSON.
 *
 * @param properties the encoded properties of a message
 * @returns names such as `priority` and `header 'x-death'`; empty if all have a place
 */
export function unplaced(system: "mqtt" | "stomp", properties: Uint8Array): string[] {
  scan.read(properties, 0, properties.length);
  const names = Object.entries(UNPLACED[system])
    .filter(([property]) => scan.has(PROPERTY[property as Property]))
    .map(([, name]) => name);
  if (system === "mqtt") return names;
  for (const [name, value] of Object.entries(scan.headers() ?? {})) {
    if (!isSent(name, value)) names.push(`header '${name}'`);
  }
  return names;
}
