/** What commands see of a context. */
import type { BrokerSystem } from "../../lib/patterns/address.ts";

/** The certificates of a context: paths of files. */
export interface ContextTls {
  readonly cacert?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** A named broker. */
export interface Context {
  readonly name: string;
  /** The file that defines it. */
  readonly file: string;
  /** What has chosen it: an option, a variable, a file or a command. */
  readonly by: string;
  /** Whether the command line or `$MQCAT_CONTEXT` names it. Otherwise `$AMQP_URL` and its like take precedence. */
  readonly isExplicit: boolean;
  /** The URL of the HTTP API. */
  readonly http: string | undefined;
  readonly tls: ContextTls;
  /** @throws {UsageError} the context has no broker of this system, or may not be used */
  url(system: BrokerSystem): string;
  /**
   * @param mayAsk whether a terminal may be asked
   * @returns undefined if the context has no password
   * @throws {UsageError} the command or the file of the password failed
   */
  password(system: BrokerSystem, mayAsk: boolean): string | undefined;
}
