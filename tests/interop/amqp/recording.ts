/**
 * The recorded responses of RabbitMQ, one file for each concern. The suite compares our broker with them where RabbitMQ
 * is not installed. MQCAT_RECORD=1 records them again.
 */
import fs from "node:fs";
import type { Case } from "./case.ts";

const FOLDER = new URL("./transcripts/", import.meta.url);

interface File {
  /** The name and the version of the recorded server. */
  readonly server: string;
  /** The responses of each case. */
  readonly cases: { [name: string]: string[] };
}

const files = new Map<string, File>();

/** Returns the recorded responses of a case; undefined if it is not recorded. */
export function recorded({ name }: Case): string[] | undefined {
  return read(concernOf(name)).cases[name];
}

/** Returns the name and the version of the server whose responses to a case are recorded. */
export function recordedServer({ name }: Case): string {
  return read(concernOf(name)).server;
}

/** Replaces the recording of all cases. The responses of a case are one line of the file. */
export function record(server: string, said: ReadonlyMap<string, readonly string[]>): void {
  fs.rmSync(FOLDER, { recursive: true, force: true });
  fs.mkdirSync(FOLDER);
  for (const concern of new Set([...said.keys()].map(concernOf))) {
    const own = [...said].filter(([name]) => concernOf(name) === concern);
    const lines = own.map(([name, responses]) => `${JSON.stringify(name)}: ${JSON.stringify(responses)}`);
    const text = `{"server": ${JSON.stringify(server)}, "cases": {\n${lines.join(",\n")}\n}}\n`;
    fs.writeFileSync(new URL(fileOf(concern), FOLDER), text);
  }
}

function concernOf(name: string): string {
  return name.split(" - ")[0]!;
}

function fileOf(concern: string): string {
  return `${concern.replaceAll(/\W+/g, "_")}.json`;
}

function read(concern: string): File {
  let file = files.get(concern);
  if (file === undefined) {
    const url = new URL(fileOf(concern), FOLDER);
    file = fs.existsSync(url)
      ? JSON.parse(fs.readFileSync(url, "utf8")) as File
      : { server: "nothing", cases: {} };
    files.set(concern, file);
  }
  return file;
}
