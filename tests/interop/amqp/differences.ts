/** Differences from RabbitMQ that several cases share. */
import type { Difference } from "./case.ts";

const REPLY = /replyText=".*?" classId=\d+ methodId=\d+/;

/** RabbitMQ's texts about malformed frames show internal data; ours describe the error. */
export const FRAME_ERROR_TEXT: Difference = {
  why: "frame errors have a plain text, not Erlang terms, and name the method",
  rabbit: REPLY,
  ours: REPLY,
};

/**
 * RabbitMQ closes the connection without a reason, or by an internal error; our broker sends a close with a code first.
 */
export function closesWithoutReason(code: number): Difference {
  return {
    why: "RabbitMQ closes the connection without a reason; this broker sends the reason first",
    rabbit: /1\.0 end.*/,
    ours: new RegExp(`1\\.0 connection\\.close replyCode=${code} .*`),
  };
}
