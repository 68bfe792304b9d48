import os from "node:os";
import path from "node:path";
import process from "node:process";
import examples from "../../cheats/queue-serve.md" with { type: "text" };
import { command, flag, group, list, option, readiness } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { word } from "../../app/values.ts";
import { httpListener } from "../../options/http.ts";
import { tlsBroker } from "../../options/tls.ts";
import { usersOf } from "../../queue/serve/credentials.ts";
import { openBroker } from "../../queue/serve/open_broker.ts";
import { serving } from "../../queue/serve/options.ts";

const HERE = "amqp://127.0.0.1:5672";

export default command({
  argument: [
    "[endpoint...]",
    `where to listen: amqp://host:port, mqtt://…, stomp://…, ws://…, with TLS amqps://…, mqtts://…, stomps://…, wss://…, :port (default: ${HERE})`,
  ],
  addresses: {
    schemes: ["amqp", "mqtt", "stomp", "ws"].flatMap((scheme) => [`${scheme}://`, `${scheme}s://`]),
  },
  options: {
    ...readiness,
    ...group("Endpoints", {
      http: option(
        "--http <address>",
        "serve RabbitMQ's HTTP API, metrics and a web page at this host:port, such as :15672",
        httpListener,
      ),
      httpWrite: flag(
        "--http-write",
        "let users of the web page publish, move, purge, declare and delete, within their permissions",
      ),
      origin: list(
        "--allow-origin <origin>",
        "let web pages of this origin, https://host, connect to ws:// (repeats; * is any; localhost is always allowed)",
        word,
      ),
    }),
    ...serving,
    ...group("Storage", {
      folder: {
        ...serving.folder,
        description:
          `${serving.folder.description} (default: mqcat/queue in $XDG_STATE_HOME or ~/.local/state)`,
      },
    }),
    ...tlsBroker,
  },
  examples,
  async action({ session, values, operands }) {
    if (values.memory && (values.folder ?? values.sync) !== undefined) {
      throw new UsageError("--memory stores nothing on disk, so it cannot be combined with --data or --sync");
    }
    if (
      values.cert !== undefined && !operands.some((operand) => /^(amqps|mqtts|stomps|wss):\/\//.test(operand))
    ) {
      throw new UsageError(
        "--cert and --key are for amqps://, mqtts://, stomps:// and wss:// endpoints: add one, such as amqps://*:5671",
      );
    }
    if (values.cacert !== undefined && values.cert === undefined) {
      throw new UsageError(
        "--cacert needs --cert and --key, because only TLS clients have certificates",
      );
    }
    if (values.httpWrite && values.http === undefined) {
      throw new UsageError("--http-write is about the page of --http: add --http, such as --http :15672");
    }
    if (values.certLoginFrom !== undefined && values.cacert === undefined) {
      throw new UsageError("--cert-login-from needs --cacert, which requires certificates of clients");
    }
    // SIGHUP never ends a server.
    session.onReload(() => {});
    const data = values.memory ? undefined : path.resolve(values.folder ?? usualFolder());
    const broker = await openBroker(session, values, data);
    const stopped = new Promise<void>((resolve) => session.onStop(resolve));
    const bound: string[] = [];
    for (const text of operands.length === 0 ? [HERE] : operands) {
      const endpoint = await broker.listen(text);
      bound.push(endpoint);
      session.reporter.info(
        `listening on ${endpoint} (${
          data === undefined ? "messages in memory only" : `messages in ${data}`
        })`,
      );
      if (!isLocal(endpoint) && usersOf(values) === undefined && broker.users.get("guest") !== undefined) {
        session.reporter.warn(
          "guest can log in from this machine only (--user names a user that can log in from anywhere)",
        );
      }
    }
    if (values.http !== undefined) {
      const url = await broker.listenHttp(values.http, { pageWrites: values.httpWrite ?? false });
      session.reporter.info(`page and HTTP API on ${url}`);
      bound.push(url);
    }
    session.ready(bound);
    await stopped;
  },
});

/** The directory for persistent state (XDG Base Directory Specification). */
function usualFolder(): string {
  const state = process.env["XDG_STATE_HOME"] || path.join(os.homedir(), ".local", "state");
  return path.join(state, "mqcat", "queue");
}

function isLocal(endpoint: string): boolean {
  return /^(amqps?|mqtts?|stomps?|wss?):\/\/(127\.|\[::1\]|localhost)/.test(endpoint);
}
