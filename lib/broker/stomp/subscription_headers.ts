/** The headers of SUBSCRIBE and UNSUBSCRIBE. */
import type { StompFrame } from "../../stomp/frame.ts";
import { StompError } from "../../stomp/stomp_error.ts";

/** The ids of the queues for replies begin with this. */
export const TEMP_QUEUE = "/temp-queue/";

/** Returns the tag of a subscription and its name in errors. @throws {StompError} the id is missing or reserved */
export function tagOf(frame: StompFrame): readonly [tag: string, description: string] {
  const id = frame.get("id");
  if (id !== undefined) {
    if (!id.startsWith(TEMP_QUEUE)) return [`T_${id}`, `id='${id}'`];
    throw new StompError("Invalid id", `${frame.command} 'id' may not start with ${TEMP_QUEUE}\n`);
  }
  const destination = frame.get("destination");
  if (destination !== undefined) return [`Q_${destination}`, `destination='${destination}'`];
  throw new StompError(
    "Missing destination or id",
    "UNSUBSCRIBE must include a 'destination' or 'id' header",
  );
}

/** Returns the mode of acknowledgements. @throws {StompError} it is unknown */
export function ackModeOf(frame: StompFrame): { readonly noAck: boolean; readonly cumulative: boolean } {
  const mode = frame.get("ack") ?? "auto";
  if (mode !== "auto" && mode !== "client" && mode !== "client-individual") {
    throw new StompError(
      "Invalid header",
      `The header 'ack' must be auto, client or client-individual, not '${mode.slice(0, 60)}'\n`,
    );
  }
  return { noAck: mode === "auto", cumulative: mode === "client" };
}
