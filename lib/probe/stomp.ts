/** Recognises a STOMP broker by its answer to a CONNECT without a login (STOMP 1.2). */
import type { StompService } from "./service.ts";

const utf8 = new TextEncoder();

export const STOMP_CONNECT: Uint8Array = utf8.encode(
  "CONNECT\naccept-version:1.0,1.1,1.2\nhost:/\nheart-beat:0,0\n\n\0",
);
export const STOMP_DISCONNECT: Uint8Array = utf8.encode("DISCONNECT\n\n\0");

/** Messages of brokers that want a login. */
const WANTS_LOGIN = /access refused|bad connect|credential|login|passcode|authenti|not authori|denied/i;

/**
 * Parses a CONNECTED or an ERROR; "more" while it is incomplete, undefined when it is not STOMP.
 *
 * @param connected whether it answers a CONNECT
 */
export function readStomp(heard: Uint8Array, connected = false): StompService | "more" | undefined {
  const text = new TextDecoder().decode(heard);
  const command = /^(CONNECTED|ERROR)\r?\n/.exec(text);
  if (command === null) {
    return "CONNECTED\n".startsWith(text) || "ERROR\n".startsWith(text) ? "more" : undefined;
  }
  const rest = text.slice(command[0].length);
  const head = /^((?:[^\n:]+:[^\n]*\n)+)\r?\n/.exec(rest);
  if (head === null) {
    return /^([^\n:]+:[^\n]*\n)*[^\n]*$/.test(rest) && !/^\r?\n/.test(rest) ? "more" : undefined;
  }
  const headers = new Map(
    head[1]!.split("\n").slice(0, -1).map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
  const server = headers.get("server");
  const known = { protocol: "stomp", ...(server === undefined ? {} : { server }) } as const;
  if (command[1] === "CONNECTED") return { ...known, version: headers.get("version") ?? "1.0", login: false };
  if (!connected) return known;
  const body = rest.slice(head[0].length).split("\0")[0]!.trim();
  const refusal = [headers.get("message"), body].filter((part) => part !== undefined && part !== "").join(
    ": ",
  );
  return WANTS_LOGIN.test(refusal) ? { ...known, login: true } : { ...known, refusal };
}
