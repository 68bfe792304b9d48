import { httpUrls } from "../../../lib/amqp/client/near_leader.ts";
import examples from "../../cheats/queue-page.md" with { type: "text" };
import { command, flag, group, readiness } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { broker, http } from "../../options/broker.ts";
import { targetOf } from "../../queue/target.ts";

const HERE = ":15680";

/** Users log in on the page. */
const { folder: _folder, passwordFile: _passwordFile, ...address } = broker;

export default command({
  argument: [
    "[host:port]",
    `where to serve the page, on this machine only; :0 is any free port (default: ${HERE})`,
  ],
  options: {
    ...readiness,
    ...address,
    ...http,
    ...group("Page", {
      write: flag("--write", "let users publish, move, purge, declare and delete, within their permissions"),
    }),
  },
  examples,
  async action({ session, values, operands }) {
    const [host, port] = addressOf(operands[0] ?? HERE);
    const target = targetOf(session, {
      ...values,
      folder: undefined,
      passwordFile: undefined,
      passwordVariable: false,
    });
    const [{ ApiClient }, { PageServer }] = await Promise.all([
      import("../../queue/page/api_client.ts"),
      import("../../queue/page/server.ts"),
    ]);
    const api = new ApiClient(httpUrls(target.brokers, target.link));
    const server = await PageServer.listen(host, port, {
      api,
      write: values.write ?? false,
      async move(request, authorization) {
        const { moveMessages } = await import("../../queue/page/move.ts");
        return await moveMessages(session, target, request, authorization);
      },
    });
    session.onEnd(() => server.close());
    session.reporter.info(`listening on ${server.url} (HTTP API: ${api.bases.join(", ")})`);
    session.ready([server.url]);
    await new Promise<void>((resolve) => session.onStop(resolve));
  },
});

/** Other machines must not reach the page: its connections to the broker come from this one. */
function addressOf(text: string): [host: string, port: number] {
  const found = /^(?:http:\/\/)?(127\.\d+\.\d+\.\d+|localhost|\[::1\])?:(\d{1,5})$/.exec(text);
  const port = Number(found?.[2]);
  if (found === null || port > 65_535) {
    throw new UsageError(`'${text}' is not an address of this machine: expected :port or localhost:port`);
  }
  return [found[1]?.replace(/[[\]]/g, "") ?? "127.0.0.1", port];
}
