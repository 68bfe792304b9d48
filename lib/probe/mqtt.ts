/** Recognises an MQTT broker by its answer to a CONNECT without a user name (MQTT 5.0, 3.2). */
import { FrameBuffer } from "../bytes/frame_buffer.ts";
import { PacketEncoder } from "../mqtt/packet_encoder.ts";
import { CONNACK, DISCONNECT } from "../mqtt/packet_type.ts";
import { decodeConnack } from "../mqtt/packets.ts";
import { REASON, reasonName } from "../mqtt/reason_code.ts";
import type { MqttService } from "./service.ts";

/** The versions that are tried, in this order. */
export const MQTT_VERSIONS = [5, 4] as const;
export type ProbedVersion = typeof MQTT_VERSIONS[number];

/** The answers of a broker of another version: it does not have this one. */
export const OTHER_VERSION = "other version";

/** Seconds after which a broker may close the session if the probe does not. */
const KEEP_ALIVE = 10;
/** Return codes of MQTT 3.1.1 (3.2.2.3). */
const UNACCEPTABLE = 1;
const BAD_NAME = 4;
const NOT_AUTHORIZED = 5;

/** A CONNECT for a session that ends with the connection. */
export function mqttConnect(version: ProbedVersion): Uint8Array {
  const encoder = new PacketEncoder(new FrameBuffer());
  encoder.version = version;
  encoder.connect({
    version,
    cleanStart: true,
    keepAlive: KEEP_ALIVE,
    properties: {},
    clientId: "",
    will: undefined,
    userName: undefined,
    password: undefined,
  });
  return encoder.out.take();
}

/** Ends the session. */
export const MQTT_DISCONNECT: Uint8Array = Uint8Array.of(DISCONNECT << 4, 0);

/** Parses the answer to a CONNECT; "more" while it is incomplete, undefined when it is not MQTT. */
export function readMqtt(
  heard: Uint8Array,
  version: ProbedVersion,
): MqttService | typeof OTHER_VERSION | "more" | undefined {
  if (heard.length === 0) return "more";
  if (heard[0] !== CONNACK << 4) return undefined;
  // An answer that is longer than 127 bytes has a length of two bytes.
  let start = 1;
  let length = 0;
  for (let shift = 0; start <= 2; shift += 7) {
    const byte = heard[start++];
    if (byte === undefined) return "more";
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
    if (start > 2) return undefined;
  }
  if (heard.length < start + length) return "more";
  try {
    const { code } = decodeConnack(heard, start, start + length, version);
    if (
      version === 5
        ? code === UNACCEPTABLE || code === REASON.unsupportedProtocolVersion
        : code === UNACCEPTABLE
    ) {
      return OTHER_VERSION;
    }
    const login = version === 5
      ? code === REASON.badUserNameOrPassword || code === REASON.notAuthorized
      : code === BAD_NAME || code === NOT_AUTHORIZED;
    const known = { protocol: "mqtt", version: version === 5 ? "5.0" : "3.1.1" } as const;
    if (code === 0 || login) return { ...known, login };
    return { ...known, refusal: version === 5 ? reasonName(code) : `return code ${code}` };
  } catch {
    return undefined;
  }
}
