import { MAX_DATAGRAM } from "../../lib/echo/client_types.ts";
import examples from "../cheats/echo-client.md" with { type: "text" };
import { command, group, list, readiness } from "../app/command.ts";
import { text, word } from "../app/values.ts";
import { EchoConversation, echoEndpoint } from "../echo/echo.ts";
import { DescriptorReader } from "../io/descriptor.ts";
import { Input } from "../io/input.ts";
import { sourceOf } from "../io/source.ts";
import { ending } from "../options/options.ts";
import { readTls, tlsClient } from "../options/tls.ts";
import type { Splitter } from "../records/splitter.ts";

export default command({
  argument: ["[endpoint]", "where to connect: tcp, unix, tls or udp (default: 127.0.0.1:65432)"],
  addresses: { schemes: ["tcp://", "tls://", "udp://", "unix:///"] },
  options: {
    ...readiness,
    ...group("Messages", {
      data: {
        ...list("-D, --text <text>", "send this text instead of reading stdin (repeats)", text),
        formerly: "--data",
      },
      file: list("-F, --file <path>", "send this file instead of reading stdin (repeats)", word),
    }),
    ...group("Timing", { timeout: ending.timeout }),
    ...tlsClient,
  },
  examples,
  action({ session, values, operands }) {
    const endpoint = echoEndpoint(operands[0], values);
    const tls = readTls(values);
    const source = values.data.length + values.file.length > 0
      ? sourceOf(session, { ...values, null: undefined, in: undefined, json: undefined }, false)
      : new Input(new DescriptorReader(0), asItComes(endpoint.scheme === "udp" ? MAX_DATAGRAM : Infinity));
    return new EchoConversation(session, endpoint, source).run(tls, values.timeout);
  },
});

/** Makes each read of the input one chunk, or several chunks of at most `most` bytes. */
function asItComes(most: number): Splitter {
  return {
    split(_bytes, start, _searched, end, batch) {
      for (let at = start; at < end; at += most) batch.add(at, Math.min(end, at + most), 0);
      return end;
    },
    finish() {},
  };
}
