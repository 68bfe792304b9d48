/** `router` and `server`: conversations by routing id, or a reply to each message from a command. */
import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { RoutedSocket } from "../../lib/zmq/routed_socket.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import { group, type Invocation, option } from "../app/command.ts";
import { reportDropped, reportUnsent } from "../app/tally.ts";
import { separator } from "../app/values.ts";
import { answerAll } from "../io/answering.ts";
import { checkExec } from "../io/exec.ts";
import { finishOutput, Output } from "../io/output.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { conversing, DEFAULT_LINGER_MS, exec } from "../options/options.ts";
import { execResponder } from "./answer.ts";
import { conversation } from "./converse.ts";
import { addressedRequests, AddressedSource, Envelopes } from "./envelope.ts";
import { open, socketOptions } from "./socket.ts";

export const routed = {
  ...conversing,
  ...exec,
  ...group("Messages", {
    separator: option(
      "-K, --key-separator <text>",
      "separator between routing id and body (default: a tab)",
      separator,
    ),
  }),
};

const LOST_PEERS = "peers that were gone or did not keep up";

/** Runs the command: `--exec` answers each message; without it stdin has the replies. */
export function routingAction(
  invocation: Invocation<typeof routed>,
  make: (options: SocketOptions) => RoutedSocket,
): Promise<void> {
  const { session, values } = invocation;
  checkExec(values);
  if (values.exec !== undefined) return answer(invocation, values.exec, make);
  const separator = utf8(values.separator ?? "\t");
  return conversation(invocation, {
    usual: "bind",
    socket: make,
    routing(socket) {
      const envelopes = new Envelopes(socket, () =>
        session.reporter.warn(
          "requests come through a proxy: each line goes to its client with the latest request (-J and --exec distinguish clients)",
        ));
      return {
        style: { separator, open: (id, frames) => envelopes.open(id, frames) },
        source: (source) => new AddressedSource(source, separator, envelopes),
      };
    },
    dropped: (socket) => [socket.dropped, LOST_PEERS],
  });
}

async function answer(
  { session, values, operands }: Invocation<typeof routed>,
  command: string,
  make: (options: SocketOptions) => RoutedSocket,
): Promise<void> {
  const plan = planEndpoints(session.command, "bind", values, operands);
  const output = new Output(session);
  const responder = execResponder(session, output, command, values);
  const socket = make({ ...await socketOptions(session, values), hwm: values.hwm });
  await open(session, socket, plan);
  let lost = 0;
  try {
    await answerAll(
      session,
      addressedRequests(socket, () => lost++),
      responder,
      values.count ?? Infinity,
      values.timeout,
    );
  } finally {
    reportUnsent(session, lost + await socket.close(values.linger ?? DEFAULT_LINGER_MS));
    await output.drained();
    reportDropped(session, socket.dropped, LOST_PEERS);
  }
  await finishOutput(session, output);
}
