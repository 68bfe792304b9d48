/** Files of CURVE keys: ZeroMQ certificates, as CZMQ and pyzmq write them, or bare keys, one a line. */
import { decodeZ85, encodeZ85 } from "./z85.ts";
import { KEY_LENGTH, type KeyPair } from "./nacl.ts";

/** What a file of keys holds. */
export interface KeyFile {
  /** In the order of the lines. */
  readonly publicKeys: readonly Uint8Array[];
  readonly secretKeys: readonly Uint8Array[];
}

/** 40 characters of Z85. None begins with `#`, which would be over 32 bits. */
const BARE = /^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}(?=$|\s)/;
const SETTING = /^([\w-]+)\s*=\s*["']?(.*?)["']?$/;
const HEADINGS = ["metadata", "curve"];

/**
 * Reads a file of keys: `public-key = "…"`, `secret-key = "…"`, or bare public keys; `#` begins a comment.
 *
 * @throws {RangeError} a line is none of these; the message names it by its number, as it may be a secret
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

/** A ZeroMQ certificate (CZMQ's zcert, pyzmq's zmq.auth), without the secret key unless there is one. */
export function formatKeyFile(comment: string, { publicKey, secretKey }: Partial<KeyPair>): string {
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
    // Told below, without the text.
  }
  if (bytes?.length !== KEY_LENGTH) {
    throw new RangeError(`The key in line ${index + 1} is not 40 characters of Z85`);
  }
  return bytes;
}
