import fs from "node:fs";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import { generateKeyPair } from "../../lib/zmtp/mechanisms/curve.ts";
import { formatKeyFile } from "../../lib/zmtp/mechanisms/key_file.ts";
import { encodeZ85 } from "../../lib/zmtp/mechanisms/z85.ts";
import examples from "../cheats/keygen.md" with { type: "text" };
import { command } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import { finishOutput, Output } from "../io/output.ts";

export default command({
  argument: ["<name>", "where to write the keys: NAME.key and NAME.key_secret"],
  options: {},
  diagnostics: ["quiet", "logFormat"],
  examples,
  async action({ session, operands: [name] }) {
    if (!name) throw new UsageError("no name was given (try: mqcat keygen server)");
    if (name.endsWith("/")) throw new UsageError(`'${name}' is a folder (try: mqcat keygen ${name}server)`);
    const { publicKey, secretKey } = await generateKeyPair();
    write(
      `${name}.key_secret`,
      formatKeyFile("A CURVE key pair. Keep it secret.", { publicKey, secretKey }),
    );
    try {
      write(`${name}.key`, formatKeyFile("A CURVE public key, for the other side.", { publicKey }));
    } catch (error) {
      fs.rmSync(`${name}.key_secret`);
      throw error;
    }
    session.reporter.info(`wrote ${name}.key and ${name}.key_secret`);
    const output = new Output(session);
    output.append(utf8(`${encodeZ85(publicKey)}\n`));
    await finishOutput(session, output);
  },
});

/** Writes a new file; it never overwrites one, because an overwritten key is lost. */
function write(path: string, text: string): void {
  try {
    fs.writeFileSync(path, text, { flag: "wx", mode: 0o600 });
  } catch (error) {
    const taken = (error as NodeJS.ErrnoException).code === "EEXIST";
    throw new Error(
      taken
        ? `'${path}' exists, and is not overwritten (choose another name)`
        : `'${path}' cannot be written: ${phrase(error)}`,
      { cause: error },
    );
  }
}
