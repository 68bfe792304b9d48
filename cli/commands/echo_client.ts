import { isatty } from "node:tty";
import { connectEcho, type EchoClient } from "../../lib/echo/client.ts";
import { messageOf, MqcatError, UnreachableError } from "../../lib/errors.ts";
import { MAX_DATAGRAM } from "../../lib/echo/udp_socket.ts";
import { type Endpoint, formatEndpoint } from "../../lib/transport/endpoint.ts";
import type { TlsOptions } from "../../lib/transport/stream.ts";
import examples from "../cheats/echo-client.md" with { type: "text" };
import { command, group, list } from "../command.ts";
import { echoEndpoint } from "../echo_endpoint.ts";
import { TimeoutError } from "../errors.ts";
import { Input, type Source } from "../io/input.ts";
import { Output } from "../io/output.ts";
import { diagnostics, ending, readiness } from "../options.ts";
import { outputFailure } from "../receiving.ts";
import type { Splitter } from "../records/splitter.ts";
import { phrase } from "../reporter.ts";
import { Session } from "../session.ts";
import { sourceOf } from "../source.ts";
import { readTls, tlsClient } from "../tls.ts";
import { text, word } from "../values.ts";

/** How long the end of the input may be noticed behind the peer's and still count as before it, in milliseconds. */
const GRACE_MS = 100;

export default command({
  name: "echo-client",
  summary: "send stdin to a socket, and print what comes back",
  argument: ["[endpoint]", "where to connect: tcp, unix, tls or udp (127.0.0.1:65432)"],
  options: {
    ...readiness,
    ...group("Messages", {
      data: list("-D, --data <text>", "send this instead of reading stdin (repeats)", text),
      file: list("-F, --file <path>", "send this file instead of reading stdin (repeats)", word),
    }),
    ...group("Timing", { timeout: ending.timeout }),
    ...tlsClient,
    ...diagnostics,
  },
  examples,
  action(values, operands) {
    const endpoint = echoEndpoint(operands[0], values);
    const tls = readTls(values);
    const source = values.data.length + values.file.length > 0
      ? sourceOf({ ...values, null: undefined, in: undefined, json: undefined }, false)
      : new Input(0, asItComes(endpoint.scheme === "udp" ? MAX_DATAGRAM : Infinity));
    const session = new Session("echo-client", values);
    return session.run(() => new Conversation(session, endpoint, source).run(tls, values.timeout));
  },
});

/** Makes every read of the input a chunk, or several where one would be over `most` bytes. */
function asItComes(most: number): Splitter {
  return {
    split(_bytes, start, _searched, end, batch) {
      for (let at = start; at < end; at += most) batch.add(at, Math.min(end, at + most), 0);
      return end;
    },
    finish() {},
  };
}

/** The input goes to the peer, and what comes back to stdout, until one of them, or a signal, ends it. */
class Conversation {
  readonly #session: Session;
  readonly #endpoint: Endpoint;
  readonly #source: Source;
  readonly #output = new Output(1);
  #client!: EchoClient;
  #over = false;
  /** Wakes the feeding when there is room again, or when it is over. */
  #wake = () => {};

  constructor(session: Session, endpoint: Endpoint, source: Source) {
    this.#session = session;
    this.#endpoint = endpoint;
    this.#source = source;
  }

  async run(tls: TlsOptions, timeout: number | undefined): Promise<void> {
    const session = this.#session;
    const client = await this.#connect(tls, timeout);
    if (client === undefined) return;
    this.#client = client;
    session.onStop(() => client.close());
    this.#output.onChange = () => this.#onOutputChange();
    session.ready([client.remote]);
    this.#greet();

    const feeding = this.#feed().catch((error) => {
      client.close(error);
      return false;
    });
    const cause = await client.closed;
    this.#over = true;
    this.#wake();
    if (cause === undefined) await Promise.race([feeding, session.sleep(GRACE_MS)]);
    this.#source.cancel();
    const allSent = await feeding;
    await this.#output.drained();
    this.#count();
    const failure = outputFailure(session, this.#output);
    if (failure !== undefined) throw failure;
    if (this.#output.failure !== undefined || session.stopping) return;
    if (cause !== undefined) throw this.#explain(cause);
    if (!allSent) throw new Error("the peer ended the conversation before the input was over");
  }
}
