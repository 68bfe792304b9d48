import { firstLine, startsWith } from "./conversation.ts";
import type { BannerService } from "./service.ts";

/** Those who introduce themselves, by how their first words begin. */
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

/** Who says this, if it is somebody known. */
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
