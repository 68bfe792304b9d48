/** Differences from RabbitMQ's STOMP plug-in that several cases share; lib/broker/stomp/README.md lists the reasons. */
import type { Difference } from "../oracle/compare.ts";

const ERROR = /1 ERROR .*/;

/** RabbitMQ reports malformed headers as an internal error; our broker names the header. */
export const NAMES_HEADER: Difference = {
  why: "a malformed header is named; RabbitMQ answers 'Processing error'",
  rabbit: /message="Processing error".*/,
  ours: /message="(?:Invalid header|Bad CONNECT)".*/,
};

/** RabbitMQ closes the connection without a reason; our broker sends an ERROR frame first. */
export const REASON_FIRST: Difference = {
  why:
    "an ERROR frame comes before the end of the connection; RabbitMQ ends it without a reason after malformed frames",
  ours: ERROR,
};
