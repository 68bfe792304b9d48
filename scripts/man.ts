/** Writes a man page for each command to dist/man/, from the command definitions and the cheats. */
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import exitCodes from "../cli/cheats/exit-codes.md" with { type: "text" };
import type { Command, Title } from "../cli/app/command.ts";
import { COMMANDS } from "../cli/commands/mod.ts";
import denoJson from "../deno.json" with { type: "json" };

/** The page of one command, in man(7)'s macros. */
export function manPage({ name, summary }: Title, { argument, options, examples }: Command): string {
  const page = `mqcat-${name.replaceAll(" ", "-")}`;
  const lines = [
    `.TH "${page.toUpperCase()}" 1 "" "mqcat ${denoJson.version}"`,
    ".SH NAME",
    `${roff(page)} \\- ${roff(summary)}`,
    ".SH SYNOPSIS",
    `.B mqcat ${roff(name)}`,
    roff(`[options] ${argument?.[0] ?? ""}`.trim()),
  ];
  if (argument !== undefined) lines.push(".PP", roff(`${argument[0]}: ${argument[1]}`));
  let heading = "";
  for (const { flags, description, group } of Object.values(options)) {
    if (group !== heading) lines.push(`.SH ${roff(group.toUpperCase())}`);
    heading = group;
    lines.push(".TP", `.B ${roff(flags)}`, roff(description));
  }
  lines.push(".SH EXAMPLES", ...cheat(examples), ".SH EXIT STATUS", ...cheat(exitCodes));
  return `${lines.join("\n")}\n`;
}

/** The paragraphs of a cheat; indented lines are not changed. */
function cheat(markdown: string): string[] {
  const lines: string[] = [];
  let verbatim = false;
  for (const line of markdown.replace(/^Examples:\n/, "").trim().split("\n")) {
    const indented = line.startsWith("    ");
    if (indented !== verbatim && line !== "") {
      lines.push(indented ? ".PP\n.nf\n.RS" : ".RE\n.fi\n.PP");
      verbatim = indented;
    }
    if (line !== "") lines.push(roff(indented ? line.slice(4) : line));
  }
  if (verbatim) lines.push(".RE\n.fi");
  return lines;
}

/** Escapes text so that roff finds no macro or escape in it. */
function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/, "\\&");
}

/**
 * Writes a man page for each command.
 *
 * @param folder with a slash at its end; it is created if missing
 * @returns the paths of the pages
 */
export async function writeManPages(folder: string): Promise<string[]> {
  fs.mkdirSync(folder, { recursive: true });
  const files: string[] = [];
  for (const entry of COMMANDS) {
    const file = `${folder}mqcat-${entry.name.replaceAll(" ", "-")}.1`;
    fs.writeFileSync(file, manPage(entry, (await entry.load()).default));
    files.push(file);
  }
  return files;
}

if (import.meta.main) {
  const files = await writeManPages(fileURLToPath(new URL("../dist/man/", import.meta.url)));
  console.log(files.join("\n"));
}
