/** Differences from RabbitMQ that several cases meet. */
import type { Difference } from "./case.ts";

const REPLY = /replyText=".*?" classId=\d+ methodId=\d+/;

/** RabbitMQ tells its own innards where bytes are no AMQP; ours tells what is wrong with them. */
export const IN_WORDS: Difference = {
  why:
    "what is wrong with a frame is told in words, not in Erlang's terms, and by the method that it belongs to",
  rabbit: REPLY,
  ours: REPLY,
};

/** What RabbitMQ ends without a word, or by a crash of its own, ours explains first. */
export function hangsUp(code: number): Difference {
  return {
    why: "RabbitMQ hangs up without a word, ours says why first",
    rabbit: /1\.0 end.*/,
    ours: new RegExp(`1\\.0 connection\\.close replyCode=${code} .*`),
  };
}
