import { LimitError } from "../../../lib/errors.ts";
import type { BrokerEvent } from "../../../lib/broker/options.ts";
import { blockageReporter } from "../../app/blockage.ts";
import { phrase } from "../../app/reporter.ts";
import type { Session } from "../../app/session.ts";

/** Reports the events of a broker on stderr. */
export function reportBrokerEvents(session: Session): (event: BrokerEvent) => void {
  const { reporter } = session;
  const blocked = blockageReporter(
    reporter,
    "no messages are accepted for now",
    "messages are accepted again",
  );
  return (event) => {
    switch (event.type) {
      case "connected":
        return reporter.verbose(
          `connected: '${event.user}' from ${address(event.remote)}, vhost '${event.vhost}'`,
        );
      case "disconnected": {
        const cause = event.cause === undefined || session.stopping ? "" : `: ${phrase(event.cause)}`;
        return reporter.verbose(`disconnected: ${address(event.remote)}${cause}`);
      }
      case "refused":
        return reporter.warn(`refused ${refused(event.remote, event.error)}: ${reasonOf(event.error)}`);
      case "channel-error":
        return reporter.verbose(`closed a channel of ${address(event.remote)}: ${phrase(event.error)}`);
      case "blocked":
        return blocked(event.reason);
      case "failed":
        return reporter.error(event.error);
      case "dropped":
        return reporter.warn(`dropped ${event.count} messages of the MQTT session '${event.clientId}'`);
      case "retained-full":
        return reporter.warn(`did not retain a message of '${event.topic}': the limit is reached`);
      case "damaged":
        return reporter.warn(`damaged and ignored: ${event.what}`);
    }
  };
}

/** Formats a peer as `127.0.0.1:50123`; other transports keep their scheme. */
function address(remote: string): string {
  return remote.replace(/^(tcp|tls):\/\//, "");
}

/** The reason of a refused login is for the owner of the broker: the client does not get it. */
function reasonOf(error: Error): string {
  return "reason" in error ? `the login failed: ${error.reason}` : phrase(error);
}

/** At a limit, one line for all connections of a host is enough: the reporter does not repeat it for a while. */
function refused(remote: string, error: Error): string {
  return error instanceof LimitError ? address(remote).replace(/:\d+$/, "") : address(remote);
}
