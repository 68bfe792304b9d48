/** The two brokers of `queue move --to-url`: each has a password of its own, and certificates are for those with TLS. */
import { DEFAULT_URL, formatBroker } from "../../lib/amqp/client/url.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { placeOf } from "../brokers/link.ts";
import { type BrokerTarget, type BrokerValues, targetOf } from "./target.ts";

/** The values of the options for both addresses. */
export interface TwoBrokersValues extends BrokerValues {
  readonly toUrl: string | undefined;
  readonly toPasswordFile: string | undefined;
}

/** The variable with the password of `--to-url`: that of `--url` must not reach another broker. */
const TO_PASSWORD = "MQCAT_TO_PASSWORD";
/** A URL of a broker with TLS. */
const ENCRYPTED = /^(?:amqps|\w+\+ssl):/i;

/** @throws {UsageError | EndpointError} a URL or a password file is wrong, or an option is out of place */
export function targetsOf(
  session: Session,
  { toUrl, toPasswordFile, ...values }: TwoBrokersValues,
): { readonly source: BrokerTarget; readonly target: BrokerTarget } {
  if (toUrl === undefined) {
    if (toPasswordFile !== undefined) {
      throw new UsageError("--to-password-file has the password of --to-url, which is missing");
    }
    const source = targetOf(session, values);
    return { source, target: source };
  }
  const url = values.folder === undefined ? placeOf("amqp", values.url, DEFAULT_URL, values).url : "";
  const isToEncrypted = ENCRYPTED.test(toUrl);
  const clear = { ...values, insecure: undefined, cacert: undefined, cert: undefined, key: undefined };
  return {
    // Without any encryption, the options are refused.
    source: targetOf(session, ENCRYPTED.test(url) || !isToEncrypted ? values : clear),
    target: withoutHttp(targetOf(session, {
      ...(isToEncrypted ? values : clear),
      url: toUrl,
      folder: undefined,
      passwordFile: toPasswordFile,
      passwordVariable: TO_PASSWORD,
    })),
  };
}

/** Whether an address of the one is also an address of the other. */
export function shareBroker(source: BrokerTarget, target: BrokerTarget): boolean {
  const places = new Set(source.brokers.map(formatBroker));
  return target.brokers.some((broker) => places.has(formatBroker(broker)));
}

/** The HTTP API in the options and the environment is that of the first broker. */
function withoutHttp(target: BrokerTarget): BrokerTarget {
  return { ...target, link: { ...target.link, http: undefined } };
}
