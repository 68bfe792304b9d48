import examples from "../../cheats/queue-unbind.md" with { type: "text" };
import { bindingCommand } from "./bind.ts";

export default bindingCommand(
  "unbind",
  "QUEUE EXCHANGE: the bound queue, and the exchange",
  examples,
);
