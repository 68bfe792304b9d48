import fs from "node:fs";

interface File {
  /** The name and the version of the recorded server. */
  readonly server: string;
  /** The responses of each case. */
  readonly cases: { [name: string]: string[] };
}

interface Named {
  /** The concern and the title, separated by a dash. */
  readonly name: string;
}

/**
 * The recorded responses of RabbitMQ, one file for each concern. A suite compares our broker with them where RabbitMQ is
 * not installed. MQCAT_RECORD=1 records them again.
 */
export class Recording {
  readonly #folder: URL;
  readonly #files = new Map<string, File>();

  constructor(folder: URL) {
    this.#folder = folder;
  }

  /** Returns the recorded responses of a case; undefined if it is not recorded. */
  recorded({ name }: Named): string[] | undefined {
    return this.#read(concernOf(name)).cases[name];
  }

  /** Returns the name and the version of the server whose responses to a case are recorded. */
  recordedServer({ name }: Named): string {
    return this.#read(concernOf(name)).server;
  }

  /** Replaces the recording of all cases. The responses of a case are one line of the file. */
  record(server: string, said: ReadonlyMap<string, readonly string[]>): void {
    fs.rmSync(this.#folder, { recursive: true, force: true });
    fs.mkdirSync(this.#folder);
    for (const concern of new Set([...said.keys()].map(concernOf))) {
      const own = [...said].filter(([name]) => concernOf(name) === concern);
      const lines = own.map(([name, responses]) => `${JSON.stringify(name)}: ${JSON.stringify(responses)}`);
      const text = `{"server": ${JSON.stringify(server)}, "cases": {\n${lines.join(",\n")}\n}}\n`;
      fs.writeFileSync(new URL(fileOf(concern), this.#folder), text);
    }
  }

  #read(concern: string): File {
    let file = this.#files.get(concern);
    if (file === undefined) {
      const url = new URL(fileOf(concern), this.#folder);
      file = fs.existsSync(url)
        ? JSON.parse(fs.readFileSync(url, "utf8")) as File
        : { server: "nothing", cases: {} };
      this.#files.set(concern, file);
    }
    return file;
  }
}

function concernOf(name: string): string {
  return name.split(" - ")[0]!;
}

function fileOf(concern: string): string {
  return `${concern.replaceAll(/\W+/g, "_")}.json`;
}
