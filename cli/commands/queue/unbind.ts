import examples from "../../cheats/queue-unbind.md" with { type: "text" };
import { bindingCommand } from "./bind.ts";

export default bindingCommand(
  "unbind",
  "the bound queue, and the exchange",
  examples,
);
