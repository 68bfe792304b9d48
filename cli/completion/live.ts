/** The names of the queues and exchanges of a broker. Without an answer in time, there are none. */
import fs from "node:fs";
import process from "node:process";
import { listExchanges, listQueues, managementUrl } from "../../lib/amqp/client/management.ts";
import { inspectExchanges, inspectQueues } from "../../lib/amqp/client/peek.ts";
import { Session } from "../app/session.ts";
import { projectFile, userFile } from "../contexts/files.ts";
import { httpUrls } from "../options/http.ts";
import type { Context } from "../contexts/contract.ts";
import { httpOf, targetOf, withConnection } from "../queue/target.ts";

/** The values of options on the command line, by their keys. */
export type Given = Readonly<Record<string, string>>;

/** The time limit from the start of the process, in milliseconds. A Tab must feel immediate. */
const LIMIT_MS = 420;

/** Asks the broker that the command line is about: of `--url`, of a context, or the one in use. */
export async function liveNames(kind: "queues" | "exchanges", given: Given): Promise<string[]> {
  const left = LIMIT_MS - performance.now();
  // A directory is not opened for a Tab.
  if (left <= 0 || given["folder"] !== undefined) return [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string[]>((resolve) => timer = setTimeout(() => resolve([]), left));
  const asked = ask(kind, given, left).catch(() => []);
  const names = await Promise.race([asked, late]);
  clearTimeout(timer);
  // Each name is a line of the output.
  return names.filter((name) => name !== "" && !/\p{Cc}/u.test(name)).sort();
}

async function ask(kind: "queues" | "exchanges", given: Given, left: number): Promise<string[]> {
  const session = new Session("complete", { quiet: true });
  const context = await contextOfLine(given, left);
  const { url, passwordFile, cacert, cert, key } = given;
  const values = {
    url: url ?? undefined,
    folder: undefined,
    passwordFile,
    insecure: "insecure" in given,
    cacert,
    cert,
    key,
    context,
  };
  const target = targetOf(session, values);
  const http = httpOf({ ...values, http: given["http"] === undefined ? undefined : httpUrls(given["http"]) });
  let found: { readonly name: string }[] | undefined;
  await withConnection(target, async (connection) => {
    if (connection.peeks) {
      found = await (kind === "queues" ? inspectQueues : inspectExchanges)(connection);
    }
  });
  const bases = http ?? target.brokers.map(managementUrl);
  found ??= await (kind === "queues" ? listQueues : listExchanges)(bases, target.brokers[0]!);
  return found.map(({ name }) => name);
}

/** @param left the time for the command of its password, in milliseconds */
async function contextOfLine(given: Given, left: number): Promise<Context | undefined> {
  const name = given["context"] ?? process.env["MQCAT_CONTEXT"];
  if (given["url"] !== undefined || !name && !fs.existsSync(userFile()) && projectFile() === undefined) {
    return undefined;
  }
  const { chooseContext } = await import("../contexts/context.ts");
  return chooseContext(name ? { name, by: "--context" } : undefined, Math.floor(left));
}
