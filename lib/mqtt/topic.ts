/** Topic names and topic filters (MQTT 5.0, 4.7 and 4.8.2). */
import { MAX_TEXT } from "./text.ts";

/** A shared subscription, `$share/GROUP/FILTER`. */
export interface SharedFilter {
  readonly group: string;
  readonly filter: string;
}

const SHARE = "$share/";

/** Whether a text is a topic name: not empty, without wildcards and U+0000 [MQTT-4.7.1-1] [MQTT-4.7.3-1]. */
export function isTopicName(text: string): boolean {
  return text !== "" && !/[+#\0]/.test(text) && fits(text);
}

/**
 * Whether a text is a topic filter: `+` fills a level, and `#` is the last level [MQTT-4.7.1-1] [MQTT-4.7.1-2]. The
 * filter of a shared subscription is also one, if its group and its own filter are valid [MQTT-4.8.2-1].
 */
export function isTopicFilter(text: string): boolean {
  if (text === "" || text.includes("\0") || !fits(text)) return false;
  if (isShared(text)) return parseShared(text) !== undefined;
  return isPlainFilter(text);
}

/** Whether a filter is one of a shared subscription, valid or not. */
export function isShared(text: string): boolean {
  return text.startsWith(SHARE);
}

/** Splits the filter of a shared subscription; returns undefined if it is not a valid one. */
export function parseShared(text: string): SharedFilter | undefined {
  if (!isShared(text)) return undefined;
  const end = text.indexOf("/", SHARE.length);
  const group = text.slice(SHARE.length, end);
  const filter = text.slice(end + 1);
  // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
  if (end < 0 || group === "" || /[+#]/.test(group) || filter === "" || !isPlainFilter(filter)) {
    return undefined;
  }
  return { group, filter };
}

function isPlainFilter(text: string): boolean {
  const levels = text.split("/");
  return levels.every((level, i) =>
    !/[+#]/.test(level) || level === "+" || level === "#" && i === levels.length - 1
  );
}

/** Whether the UTF-8 form has at most 65 535 bytes [MQTT-4.7.3-3]. */
function fits(text: string): boolean {
  return text.length * 3 <= MAX_TEXT || new TextEncoder().encode(text).length <= MAX_TEXT;
}
