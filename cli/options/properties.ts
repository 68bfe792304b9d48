/** Options of messages and queues of brokers. They are apart from `queue/`, which loads the client. */
import { flag, group, list } from "../app/command.ts";
import { word } from "../app/values.ts";

/** The headers and properties of messages. The names of properties are checked where the client is loaded. */
export const properties = group("Messages", {
  header: list(
    "-H, --header <name: value>",
    "add a header (repeats)",
    header,
    `-J can have other bytes: {"headers":{"NAME":{"$bytes":"BASE64"}}}`,
  ),
  property: list(
    "-P, --property <name: value>",
    "set a property, such as content_type (repeats)",
    word,
  ),
});

/** The option that creates a missing queue. */
export const declaring = group("Queue", {
  declare: flag("--declare", "create the queue if it does not exist: durable, of the broker's default type"),
});

function header(value: string): [name: string, value: string] {
  const match = /^([^:]+):\s*([^]*)$/.exec(value);
  if (match === null) throw new Error("expected 'name: value'");
  return [match[1]!.trim(), match[2]!];
}
