import { MqcatError } from "../errors.ts";

/** An error that one peer reports to the other in an ERROR frame. */
export class StompError extends MqcatError {
  /** The header `message`: a short description, without its details. */
  readonly summary: string;
  /** The body. */
  readonly details: string;

  /**
   * Makes an error.
   *
   * @param summary the header `message`
   * @param details the body
   */
  constructor(summary: string, details: string, options?: ErrorOptions) {
    super("ERR_STOMP", `${summary}: ${details.trim().replaceAll("\n", " ")}`, options);
    this.summary = summary;
    this.details = details;
  }
}
