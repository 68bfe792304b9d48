import { tapStreams } from "../../lib/transport/tap.ts";
import { WireTap } from "../../lib/wire/wire_tap.ts";
import type { Reporter } from "./reporter.ts";

/** Prints what passes each connection from now on, one line for each frame. */
export function showWire(reporter: Reporter): void {
  tapStreams((stream) => new WireTap(stream, (line) => reporter.wire(line)));
}
