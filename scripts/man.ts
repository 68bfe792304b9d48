/** Writes the man pages to dist/man/: `mqcat.1` and one for each command, from the definitions, the cheats and the topics. */
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Command, Title } from "../cli/app/command.ts";
import { EXIT_MEANINGS } from "../cli/app/errors.ts";
import { COMMANDS } from "../cli/commands/mod.ts";
import { TOPICS, topicText } from "../cli/help/topics.ts";
import denoJson from "../deno.json" with { type: "json" };

/** The environment variables that the program reads. */
const VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  [
    "AMQP_URL, MQTT_URL, STOMP_URL",
    "the broker in use, for amqp:NAME, mqtt:TOPIC, stomp:DESTINATION and the queue commands",
  ],
  ["MQCAT_CONTEXT", "the context of the broker in use; it takes precedence over the variables above"],
  ["AMQP_HTTP_URL", "the HTTP API of the broker, for queue list and queue info"],
  ["MQCAT_PASSWORD", "the password of users that an address or --user names"],
  ["AMQP_PASSWORD, MQTT_PASSWORD, STOMP_PASSWORD", "the same for one system, if MQCAT_PASSWORD is not set"],
  ["NO_COLOR, FORCE_COLOR", "whether terminals show colours and bold words"],
  ["COLUMNS", "the width of help pages"],
];

/** The page of one command, in the macros of man(7). */
export function manPage({ name, summary }: Title, { argument, options, examples }: Command): string {
  const lines = [
    ...heading(pageOf(name), summary),
    ".SH SYNOPSIS",
    `.B mqcat ${roff(name)}`,
    roff(`[options] ${argument?.[0] ?? ""}`.trim()),
    ".SH DESCRIPTION",
    roff(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`),
  ];
  if (argument !== undefined) lines.push(".TP", `.B ${roff(argument[0])}`, roff(argument[1]));
  let section = "";
  const rows = Object.values(options);
  const groups = [...new Set(rows.map(({ group }) => group))];
  for (
    const { flags, description, group } of groups.flatMap((title) =>
      rows.filter((row) => row.group === title)
    )
  ) {
    if (group !== section) lines.push(`.SH ${roff(group.toUpperCase())}`);
    section = group;
    lines.push(".TP", `.B ${roff(flags)}`, roff(description));
  }
  lines.push(".SH EXAMPLES", ...cheat(examples), ...exitStatus(), ...seeAlso(["mqcat"]));
  return page(lines);
}

/** The page of the program: the commands, the topics of help, the environment. */
export async function mainPage(): Promise<string> {
  const lines = [
    ...heading("mqcat", "netcat for messaging patterns: sockets, ZeroMQ, AMQP, MQTT and STOMP"),
    ".SH SYNOPSIS",
    ".B mqcat",
    roff("COMMAND [options] [endpoint...]"),
    ".SH COMMANDS",
    roff("Each command has a page of its own, such as mqcat-push(1)."),
  ];
  for (const { name, summary } of COMMANDS) lines.push(".TP", `.B ${roff(name)}`, roff(summary));
  for (const topic of TOPICS) {
    if (topic === "exit-codes") continue;
    lines.push(...markdown((await topicText(topic))!));
  }
  lines.push(".SH ENVIRONMENT");
  for (const [name, meaning] of VARIABLES) lines.push(".TP", `.B ${roff(name)}`, roff(meaning));
  lines.push(...exitStatus(), ...seeAlso(COMMANDS.map(({ name }) => pageOf(name))));
  return page(lines);
}

/** Joins the lines. Long ones are continued after a backslash, as mandoc wants. */
function page(lines: readonly string[]): string {
  const folded = lines.map((line) => {
    let text = "";
    for (let rest = line; rest !== "";) {
      const cut = rest.length > 80 ? rest.lastIndexOf(" ", 78) + 1 : 0;
      text += cut > 0 ? `${rest.slice(0, cut)}\\\n` : rest;
      rest = cut > 0 ? rest.slice(cut) : "";
    }
    return text;
  });
  return `${folded.join("\n")}\n`;
}

function pageOf(name: string): string {
  return `mqcat-${name.replaceAll(" ", "-")}`;
}

/** The first lines; `'\" t` asks for the preprocessor of tables. */
function heading(page: string, summary: string): string[] {
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  const date = (epoch ? new Date(Number(epoch) * 1000) : new Date()).toISOString().slice(0, 10);
  return [
    `'\\" t`,
    `.TH "${page.toUpperCase()}" 1 ${date} "mqcat ${denoJson.version}"`,
    ".SH NAME",
    `${roff(page)} \\- ${roff(summary)}`,
  ];
}

/** The exit status as a table. */
function exitStatus(): string[] {
  const rows = EXIT_MEANINGS.map(([code, meaning]) => `${code}\t${roff(meaning)}`);
  return [".SH EXIT STATUS", ".TS", "lb l.", ...rows, ".TE"];
}

function seeAlso(pages: readonly string[]): string[] {
  return [
    ".SH SEE ALSO",
    ...pages.map((page, at) => `.BR ${roff(page)} (1)${at < pages.length - 1 ? "," : ""}`),
  ];
}

/** The paragraphs of a cheat; indented blocks are not changed. */
function cheat(text: string): string[] {
  const paragraphs = text.replace(/^Examples:\n/, "").trim().split(/\n{2,}/);
  return paragraphs.flatMap((paragraph, at) => {
    const indent = /^ {4}|^ {2}|/.exec(paragraph)![0];
    if (indent !== "") return verbatim(paragraph.replaceAll(new RegExp(`^${indent}`, "gm"), ""));
    return [...at === 0 ? [] : [".PP"], ...prose(paragraph)];
  });
}

/** The sections of a topic. */
function markdown(text: string): string[] {
  return text.trimEnd().split(/^```\w*\n([^]*?)^```$/m).flatMap((part, at) => {
    if (at % 2 === 1) return verbatim(part.trimEnd());
    const paragraphs = part.trim().split(/\n{2,}/).filter((paragraph) => paragraph !== "");
    return paragraphs.flatMap((paragraph, nth) => {
      if (paragraph.startsWith("## ")) return [`.SH ${roff(paragraph.slice(3).toUpperCase())}`];
      const isFirst = at === 0 && nth === 1;
      return paragraph.split(/\n(?=- )/).flatMap((item) =>
        item.startsWith("- ")
          ? [".IP \\(bu 2", ...prose(item.slice(2))]
          : [...isFirst ? [] : [".PP"], ...prose(item)]
      );
    });
  });
}

function prose(text: string): string[] {
  return text.split(/\s*\n\s*/).map((line) => roff(line.replaceAll("`", "")));
}

function verbatim(text: string): string[] {
  return [
    ".PP",
    ".nf",
    ".RS",
    ...text.split("\n").map((line) => line === "" ? "" : roff(line)),
    ".RE",
    ".fi",
  ];
}

/** Escapes text so that roff finds no macro or escape in it. */
function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("…", "...").replace(
    /^(?=[.'])/,
    "\\&",
  );
}

/**
 * Writes all pages.
 *
 * @param folder with a slash at its end; it is created if missing
 * @returns the paths of the pages
 */
export async function writeManPages(folder: string): Promise<string[]> {
  fs.mkdirSync(folder, { recursive: true });
  const files = [`${folder}mqcat.1`];
  fs.writeFileSync(files[0]!, await mainPage());
  for (const entry of COMMANDS) {
    const file = `${folder}${pageOf(entry.name)}.1`;
    fs.writeFileSync(file, manPage(entry, (await entry.load()).default));
    files.push(file);
  }
  return files;
}

if (import.meta.main) {
  const files = await writeManPages(fileURLToPath(new URL("../dist/man/", import.meta.url)));
  console.log(files.join("\n"));
}
