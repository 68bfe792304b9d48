import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import examples from "../../cheats/context-add.md" with { type: "text" };
import { type BrokerSystem, brokerSystemOf } from "../../../lib/patterns/address.ts";
import { command, group, list, option } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { word } from "../../app/values.ts";
import { PROJECT_FILE } from "../../contexts/files.ts";
import { httpUrls } from "../../options/http.ts";

const login = group("Broker", {
  url: list(
    "--url <url>",
    "the broker: amqp://user@host/vhost, mqtt://…, stomp://…, with TLS amqps://… (repeats: one for each system)",
    word,
  ),
  http: option("--http <address>", "the HTTP API of the AMQP broker, host:port or its URL", httpUrls),
  passwordCommand: option("--password-command <command>", "a shell command that prints the password", word),
  passwordFile: option("--password-file <path>", "a file with the password", word),
});

const certificates = group("Security", {
  cacert: option("--cacert <file>", "trust the certificate authorities in this file", word),
  cert: option("--cert <file>", "our certificate, with its chain, in PEM", word),
  key: option("--key <file>", "the private key of --cert, in PEM", word),
});

/** The parsers of URLs, which report a mistake. */
const PARSERS: Readonly<Record<BrokerSystem, () => Promise<(url: string) => unknown>>> = {
  amqp: async () => (await import("../../../lib/amqp/client/url.ts")).parseAmqpUrl,
  mqtt: async () => (await import("../../../lib/mqtt/client/url.ts")).parseMqttUrl,
  stomp: async () => (await import("../../../lib/stomp/client/url.ts")).parseStompAddress,
};

export default command({
  argument: ["<name>", "the name of the new context"],
  options: { ...login, ...certificates },
  diagnostics: ["quiet", "logFormat"],
  examples,
  async action({ session, values, operands: [name = ""] }) {
    if (!/^[\w.-]+$/.test(name)) {
      throw new UsageError(`'${name}' cannot name a context: use letters, digits, '-', '_' and '.'`);
    }
    if (values.url.length === 0) throw new UsageError("--url is missing: name a broker");
    if (values.passwordCommand !== undefined && values.passwordFile !== undefined) {
      throw new UsageError(
        "--password-command and --password-file both have the password: give only one of them",
      );
    }
    if ((values.cert === undefined) !== (values.key === undefined)) {
      throw new UsageError("--cert and --key belong together: give both, or neither");
    }
    const { changeUserConfig, checkEntries, pathIn } = await import("../../contexts/config.ts");
    const entries: Record<string, string> = {};
    for (const url of values.url) {
      const system = url.includes("://") ? brokerSystemOf(url) : undefined;
      // The URL may have a password.
      if (system === undefined) {
        throw new UsageError(
          "--url must begin with amqp://, mqtt:// or stomp://, or with amqps:// and so on",
        );
      }
      if (entries[system] !== undefined) {
        throw new UsageError(`a context has one ${system} URL (commas separate hosts)`);
      }
      entries[system] = url;
    }
    const here = path.join(process.cwd(), PROJECT_FILE);
    const { passwordCommand, passwordFile, cacert, cert, key } = values;
    for (const [name, file] of Object.entries({ "password-file": passwordFile, cacert, cert, key })) {
      if (file === undefined) continue;
      entries[name] = pathIn(here, file);
      // Perhaps it comes later, from another program.
      if (!fs.existsSync(entries[name])) {
        session.reporter.warn(`--${name} '${file}': there is no such file yet`);
      }
    }
    if (passwordCommand !== undefined) entries["password-command"] = passwordCommand;
    if (values.http !== undefined) entries["http"] = values.http.join(",");
    checkEntries(name, entries);
    for (const [system, parse] of Object.entries(PARSERS)) {
      if (entries[system] !== undefined) (await parse())(entries[system]);
    }
    const file = await changeUserConfig(({ contexts, file }) => {
      if (contexts.has(name)) {
        throw new UsageError(
          `there is a context '${name}' already (remove it: mqcat context rm ${name}, or edit '${file}')`,
        );
      }
      contexts.set(name, entries);
      return file;
    });
    session.reporter.info(`added '${name}' to '${file}' (try: mqcat context use ${name})`);
  },
});
