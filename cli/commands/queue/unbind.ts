import examples from "../../cheats/queue-unbind.md" with { type: "text" };
import { bindingCommand } from "./bind.ts";

export default bindingCommand(
  "unbind",
  "QUEUE EXCHANGE: what no longer gets them, and of which exchange",
  examples,
);
