import { ProtocolError } from "../errors.ts";
import { REASON } from "./reason_code.ts";

/** A violation of MQTT by the peer, with the reason code to answer it with. */
export class MqttError extends ProtocolError {
  /** The reason code of MQTT 5.0, for example 0x81; MQTT 3.1.1 has no codes and closes the connection. */
  readonly reasonCode: number;

  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(reasonCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reasonCode = reasonCode;
  }
}

/** Makes the error for bytes that are no packet: 0x81. */
export function malformed(message: string): MqttError {
  return new MqttError(REASON.malformedPacket, message);
}

/** Makes the error for a packet that is not allowed: 0x82. */
export function protocolError(message: string): MqttError {
  return new MqttError(REASON.protocolError, message);
}
