/** Files of CURVE keys: ZeroMQ certificates, as CZMQ and pyzmq write them, or lists of keys, one per line. */
import { decodeZ85, encodeZ85 } from "./z85.ts";
import { KEY_LENGTH, type KeyPair } from "./nacl.ts";

/** The keys of a key file. */
export interface KeyFile {
  /** The public keys in the order of the lines, 32 bytes each. */
  readonly publicKeys: readonly Uint8Array[];
  /** The secret keys in the order of the lines, 32 bytes each. */
  readonly secretKeys: readonly Uint8Array[];
}

/** 40 characters of Z85. No key begins with `#`: its first group would exceed 32 bits. */
const BARE = /^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}(?=$|\s)/;
const SETTING = /^([\w-]+)\s*=\s*["']?(.*?)["']?$/;
const HEADINGS = ["metadata", "curve"];

/**
 * Parses a key file. A line is `public-key = "…"`, `secret-key = "…"`, a public key alone, or a comment after `#`. Other
 * settings and the headings of a certificate are ignored.
 *
 * @param text the text of the file
 * @returns the keys
 * @throws {RangeError} a line is malformed. The message has the number of the line, not its text, which may be a secret
 *
 * @example Parse a list of public keys
 * ```ts
 * import { encodeZ85, generateKeyPair, parseKeyFile } from "../../../mod.ts";
 * const { publicKey } = await generateKeyPair();
 * const { publicKeys } = parseKeyFile(`${encodeZ85(publicKey)} # jane\n`);
 * console.assert(publicKeys.length === 1);
 * ```
 */
export function parseKeyFile(text: string): KeyFile {
  const publicKeys: Uint8Array[] = [];
  const secretKeys: Uint8Array[] = [];
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || HEADINGS.includes(line)) return;
    const bare = BARE.exec(line)?.[0];
    if (bare !== undefined && /^(\s+#.*)?$/.test(line.slice(bare.length))) {
      return void publicKeys.push(key(bare, index));
    }
    const [, name, value = ""] = SETTING.exec(line) ?? [];
    if (name === "public-key") publicKeys.push(key(value, index));
    else if (name === "secret-key") secretKeys.push(key(value, index));
    else if (name === undefined) throw new RangeError(`Line ${index + 1} is neither a key nor a comment`);
  });
  return { publicKeys, secretKeys };
}

/**
 * Formats a ZeroMQ certificate, as CZMQ's zcert and pyzmq's zmq.auth read it.
 *
 * @param comment one line of text at the beginning of the file
 * @param keyPair the keys to write, 32 bytes each; a missing key is left out
 * @returns the text of the file
 * @throws {RangeError} the length of a key is not a multiple of four bytes
 *
 * @example Format a certificate with the public key only
 * ```ts
 * import { formatKeyFile, generateKeyPair, parseKeyFile } from "../../../mod.ts";
 * const { publicKey } = await generateKeyPair();
 * const file = formatKeyFile("the public key of jane", { publicKey });
 * console.assert(parseKeyFile(file).secretKeys.length === 0);
 * ```
 */
export function formatKeyFile(comment: string, keyPair: Partial<KeyPair>): string {
  const { publicKey, secretKey } = keyPair;
  const lines = [`# ${comment}`, "metadata", "curve"];
  if (publicKey !== undefined) lines.push(`    public-key = "${encodeZ85(publicKey)}"`);
  if (secretKey !== undefined) lines.push(`    secret-key = "${encodeZ85(secretKey)}"`);
  return `${lines.join("\n")}\n`;
}

function key(text: string, index: number): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    bytes = decodeZ85(text);
  } catch {
    // The error below does not contain the text.
  }
  if (bytes?.length !== KEY_LENGTH) {
    throw new RangeError(`The key in line ${index + 1} is not 40 characters of Z85`);
  }
  return bytes;
}
