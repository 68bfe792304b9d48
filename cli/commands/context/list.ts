import examples from "../../cheats/context-list.md" with { type: "text" };
import { command, flag, group } from "../../app/command.ts";
import { printPage } from "../../app/page.ts";

export default command({
  options: group("Output", { json: flag("-J, --json", "one JSON object for each context") }),
  diagnostics: ["quiet", "logFormat"],
  examples,
  async action({ session, values }) {
    const { listContexts } = await import("../../contexts/list.ts");
    const contexts = listContexts();
    const width = Math.max(...contexts.map(({ name }) => name.length));
    const lines = contexts.map((context) => {
      if (values.json) return JSON.stringify(context);
      const urls = [context.amqp, context.mqtt, context.stomp].filter((url) => url !== undefined);
      return [`${context.inUse ? "*" : " "} ${context.name.padEnd(width)}`, ...urls].join("  ");
    });
    if (lines.length > 0) printPage(lines.join("\n"));
    else session.reporter.info("there are no contexts (try: mqcat context add NAME --url amqp://host)");
  },
});
