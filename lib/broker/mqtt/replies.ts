import { AmqpError } from "../../amqp/amqp_error.ts";
import { LimitError, messageOf } from "../../errors.ts";
import { MqttError } from "../../mqtt/mqtt_error.ts";
import { REASON } from "../../mqtt/reason_code.ts";

/** Maps any error to one with a reason code of MQTT: all errors of the broker core become replies of MQTT here. */
export function replyFor(error: unknown): MqttError {
  if (error instanceof MqttError) return error;
  if (error instanceof AmqpError) return new MqttError(reasonOf(error), error.replyText, { cause: error });
  if (error instanceof LimitError || error instanceof RangeError) {
    return new MqttError(REASON.implementationSpecific, messageOf(error), { cause: error });
  }
  return new MqttError(REASON.unspecified, `The broker failed: ${messageOf(error)}`, { cause: error });
}

function reasonOf({ replyCode, replyText }: AmqpError): number {
  switch (replyCode) {
    case 320:
      return replyText.includes("shutdown") ? REASON.serverShuttingDown : REASON.administrativeAction;
    case 403:
      return REASON.notAuthorized;
    case 530:
      return REASON.quotaExceeded;
    default:
      return REASON.implementationSpecific;
  }
}

/** The return code of CONNACK in MQTT 3.1 and 3.1.1 for a reason code (3.1.1, 3.2.2.3). */
export function returnCodeOf(reasonCode: number): number {
  switch (reasonCode) {
    case REASON.success:
      return 0;
    case REASON.unsupportedProtocolVersion:
      return 1;
    case REASON.clientIdNotValid:
      return 2;
    case REASON.badUserNameOrPassword:
      return 4;
    case REASON.notAuthorized:
      return 5;
    default:
      return 3;
  }
}
