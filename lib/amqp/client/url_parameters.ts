/** The parameters of AMQP URLs, as RabbitMQ's clients, pika, amqplib and others write them. */

/** What the parameters of a URL say. */
export interface UrlParameters {
  /** The heartbeat interval to request, in seconds; undefined accepts the interval of the server. */
  readonly heartbeat?: number | undefined;
  /** The largest frame to offer, in bytes. */
  readonly frameMax?: number | undefined;
  /** The number of channels to offer. */
  readonly channelMax?: number | undefined;
  /** The time limit for connecting and logging in, in milliseconds. */
  readonly connectionTimeout?: number | undefined;
  /** The SASL mechanism. `EXTERNAL`: the server takes the name from the certificate of the client. Default: `PLAIN` */
  readonly mechanism?: "PLAIN" | "EXTERNAL" | undefined;
  /** A name for the connection, which the server shows. */
  readonly connectionName?: string | undefined;
  /** The names of the parameters that have no effect here. */
  readonly ignored?: readonly string[] | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Reads the parameters.
 *
 * @param mistake makes the error for a value that cannot be used
 */
export function parametersOf(
  query: string | undefined,
  mistake: (what: string, remedy: string) => Error,
): UrlParameters {
  const found: Mutable<UrlParameters> = {};
  const ignored: string[] = [];
  const integer = (name: string, value: string, most: number, unit: string, example: string) => {
    if (!/^\d{1,10}$/.test(value) || Number(value) > most) {
      throw mistake(`${name} '${value}' is not a number of ${unit}`, example);
    }
    return Number(value);
  };
  for (const [name, value] of new URLSearchParams(query)) {
    switch (name) {
      case "heartbeat":
        found.heartbeat = integer(name, value, 65535, "seconds", "heartbeat=30");
        break;
      case "frame_max":
      case "frameMax":
        found.frameMax = integer(name, value, 2 ** 31, "bytes", `${name}=131072`) || undefined;
        if ((found.frameMax ?? 4096) < 4096) {
          throw mistake(`${name} is less than 4096 bytes`, `${name}=131072`);
        }
        break;
      case "channel_max":
      case "channelMax":
        found.channelMax = integer(name, value, 65535, "channels", `${name}=2047`) || undefined;
        break;
      case "connection_timeout":
        found.connectionTimeout = integer(name, value, 2 ** 31 - 1, "milliseconds", `${name}=10000`) ||
          undefined;
        break;
      case "auth_mechanism":
        if (/^(plain|external)$/i.test(value)) {
          // Several are alternatives, in this order.
          found.mechanism ??= value.toUpperCase() as "PLAIN" | "EXTERNAL";
        } else if (/^amqplain$/i.test(value)) ignored.push(name);
        else throw mistake(`the mechanism '${value}' is unknown`, "auth_mechanism=external, or plain");
        break;
      case "name":
        found.connectionName = value;
        break;
      default:
        ignored.push(name);
    }
  }
  return ignored.length === 0 ? found : { ...found, ignored: [...new Set(ignored)] };
}
