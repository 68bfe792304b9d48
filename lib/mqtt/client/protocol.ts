import type { LinkOptions } from "../../link/options.ts";
import type { Protocol } from "../../link/protocol.ts";
import { MqttConnection } from "./connection.ts";
import { isPermanent } from "./errors.ts";
import { login } from "./login.ts";
import type { Session } from "./session.ts";
import { formatMqtt, type MqttAddress } from "./url.ts";

const MAX_MESSAGE = 128 * 2 ** 20;
/** Room for the topic and the properties of a received message, in bytes. */
const MAX_HEAD = 256 * 1024;

/** How links log in to MQTT servers with a session. */
export function protocolOf(session: Session): Protocol<MqttAddress, MqttConnection> {
  return {
    format: formatMqtt,
    isPermanent,
    async login(attempt, address, { maxMessageSize = MAX_MESSAGE }: LinkOptions) {
      return new MqttConnection(await login(attempt, address, session), session, maxMessageSize + MAX_HEAD);
    },
  };
}
