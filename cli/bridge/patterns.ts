/** The patterns of `proxy`: how each side takes part. This file loads no system. */
import { UsageError } from "../app/errors.ts";

/** How messages are received, and how they are sent. */
export interface SidePatterns {
  readonly from: "sub" | "pull";
  readonly to: "pub" | "push";
}

/** The patterns that join two different ways of delivery. */
export const MIXED = ["sub-push", "pull-pub"] as const;

const SIDES: Readonly<Record<string, SidePatterns>> = {
  "pubsub": { from: "sub", to: "pub" },
  "pushpull": { from: "pull", to: "push" },
  "sub-push": { from: "sub", to: "push" },
  "pull-pub": { from: "pull", to: "pub" },
};

/** @throws {UsageError} the pattern is not for bridges */
export function sidesOf(pattern: string): SidePatterns {
  const sides = SIDES[pattern];
  if (sides !== undefined) return sides;
  throw new UsageError(
    `${pattern} joins ZeroMQ sockets only; at a broker, mqcat rep ADDRESS --exec 'mqcat req OTHER' answers requests ` +
      `(a bridge has one of ${Object.keys(SIDES).join(", ")})`,
  );
}

/** A change of topics, as `--topic-map` has it. */
export interface TopicRule {
  readonly pattern: string;
  readonly replacement: string;
}

/** Parses `REGEX=>REPLACEMENT`. */
export function topicRule(value: string): TopicRule {
  const at = value.indexOf("=>");
  if (at < 1) throw new Error("expected 'REGEX=>REPLACEMENT', such as '^sensors[.](.*)=>plant.$1'");
  return { pattern: value.slice(0, at), replacement: value.slice(at + 2) };
}
