import { serveEcho } from "../../lib/echo/server.ts";
import type { EchoServerEvent } from "../../lib/echo/server_types.ts";
import examples from "../cheats/echo-server.md" with { type: "text" };
import { command, flag, group, option, readiness } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { duration, integer } from "../app/values.ts";
import { echoEndpoint } from "../echo/echo.ts";
import { reloadedTls, tlsServer } from "../options/tls.ts";

export default command({
  argument: ["[endpoint]", "where to listen: tcp, unix, tls or udp (default: 127.0.0.1:65432)"],
  addresses: { schemes: ["tcp://", "tls://", "udp://", "unix:///"] },
  options: {
    ...readiness,
    ...group("Connections", {
      once: flag("--once", "serve one connection, or one datagram, then exit"),
      maxConnections: option(
        "--max-connections <number>",
        "limit of simultaneous connections (default: 1024)",
        integer(1),
      ),
      idle: option(
        "--idle <duration>",
        "close a connection after this time without data (default: no limit)",
        someTime,
      ),
    }),
    ...tlsServer,
  },
  examples,
  async action({ session, values, operands }) {
    const endpoint = echoEndpoint(operands[0], values);
    if (endpoint.scheme === "udp" && (values.idle ?? values.maxConnections) !== undefined) {
      throw new UsageError("--idle and --max-connections limit connections, and udp has no connections");
    }
    // SIGHUP never ends a server.
    session.onReload(() => {});
    const tls = reloadedTls(session, values);
    const server = await serveEcho(endpoint, {
      tls,
      once: values.once,
      maxConnections: values.maxConnections,
      idleTimeout: values.idle,
      onEvent: describeEvents(session),
    });
    session.onStop(() => server.close());
    session.ready([server.endpoint]);
    await server.closed;
  },
});

function someTime(text: string): number {
  const time = duration(text);
  if (time === 0) throw new Error("expected a duration above 0");
  return time;
}

/** Reports connections on stderr, and counts the bytes that go back. */
function describeEvents(session: Session): (event: EchoServerEvent) => void {
  const { reporter, counts } = session;
  const echoed = (bytes: number) => {
    counts.received += bytes;
    counts.sent += bytes;
    counts.bytes += bytes;
  };
  return (event) => {
    switch (event.type) {
      case "listening":
        return reporter.info(`listening on ${event.endpoint}`);
      case "connected":
        return reporter.info(`Connected by ${address(event.remote)}`);
      case "disconnected": {
        echoed(event.bytes);
        const text = `${address(event.remote)} after ${event.bytes} bytes`;
        if (event.cause === undefined || session.stopping) return reporter.verbose(`disconnected: ${text}`);
        return reporter.info(`lost ${text}: ${phrase(event.cause)}`);
      }
      case "refused":
        counts.dropped++;
        return reporter.warn(`closed a new connection: there are ${event.limit} already (--max-connections)`);
      case "echoed":
        echoed(event.bytes);
        return reporter.verbose(`echoed ${event.bytes} bytes to ${address(event.remote)}`);
      case "dropped":
        counts.dropped++;
        return reporter.warn(`dropped a datagram: ${phrase(event.cause)}`);
    }
  };
}

/** Formats a peer as `127.0.0.1:50123`; the peer of a Unix socket has only the path. */
function address(remote: string): string {
  return remote.replace(/^(tcp|tls|udp):\/\//, "");
}
