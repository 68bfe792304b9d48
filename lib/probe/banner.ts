import { firstLine, startsWith } from "./probe_connection.ts";
import type { BannerService } from "./service.ts";

/** Protocols whose server sends the first line, by the beginning of that line. */
const TEXTS: readonly (readonly [RegExp, BannerService["protocol"]])[] = [
  [/^SSH-[12]\./, "ssh"],
  [/^220[ -].*(\bFTP\b|FileZilla|vsFTPd)/i, "ftp"],
  [/^220[ -]/, "smtp"],
  [/^\* (OK|PREAUTH)\b/, "imap"],
  [/^\+OK\b/, "pop3"],
  [/^-(ERR|DENIED|NOAUTH|MISCONF|LOADING)\b/, "redis"],
  [/^ERROR$/, "memcached"],
  [/^INFO \{/, "nats"],
  [/^RFB \d{3}\.\d{3}/, "vnc"],
];

/** Recognises a server by its first line; undefined when it is unknown. */
export function readBanner(heard: Uint8Array): BannerService | undefined {
  const says = firstLine(heard);
  const protocol = TEXTS.find(([pattern]) => pattern.test(says))?.[1];
  if (protocol !== undefined) return { protocol, says };
  // MySQL's greeting: a length of three bytes, packet 0, protocol 10, and a version as text.
  if (heard[3] === 0 && heard[4] === 10 && startsWith(heard.subarray(2), Uint8Array.of(0))) {
    return { protocol: "mysql", says: firstLine(heard.subarray(5, heard.indexOf(0, 5))) };
  }
  return undefined;
}
