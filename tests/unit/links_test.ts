/**
 * Checks every link between files of this repository: the file exists, and has the heading that an anchor names. The pages of
 * docs/ list all pages, tasks, dependencies and commands.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../../cli/commands/mod.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Folders without texts of ours. */
const SKIPPED = new Set([".git", "dist", "node_modules"]);

function markdownFiles(folder = ""): string[] {
  return fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : markdownFiles(name);
    return entry.isFile() && name.endsWith(".md") ? [name] : [];
  }).sort();
}

/** The text without its code, which may contain brackets. */
function prose(markdown: string): string {
  return markdown.replaceAll(/^```[^]*?^```$/gm, "").replaceAll(/`[^`\n]*`/g, "`code`");
}

/** The targets of `[text](target)` and `![text](target)`. */
function linksOf(markdown: string): string[] {
  return [...prose(markdown).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
}

/** The anchors of the headings, as GitHub makes them. */
function anchorsOf(markdown: string): string[] {
  const seen = new Map<string, number>();
  return markdown.replaceAll(/^```[^]*?^```$/gm, "").split("\n").flatMap((line) => {
    const heading = /^#{1,6} (.+)$/.exec(line)?.[1];
    if (heading === undefined) return [];
    const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = words.replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(" ", "-");
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    return [times === 0 ? anchor : `${anchor}-${times}`];
  });
}

/** What is wrong with a link, or undefined. Addresses of other servers are not visited. */
function problem(file: string, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return target.startsWith("https://") ? undefined : "is not https";
  const [name, anchor] = target.split("#");
  const linked = name === "" ? file : path.join(path.dirname(file), name!);
  if (!fs.existsSync(path.join(ROOT, linked))) return `${linked} does not exist`;
  if (anchor === undefined) return undefined;
  const anchors = anchorsOf(fs.readFileSync(path.join(ROOT, linked), "utf8"));
  return anchors.includes(anchor) ? undefined : `${linked} has no heading '${anchor}'`;
}

describe("links", () => {
  const files = markdownFiles();

  it("links - every link between files leads to a file and a heading", () => {
    for (const known of ["README.md", "docs/README.md", "lib/broker/README.md"]) {
      assert.ok(files.includes(known));
    }
    const wrong = files.flatMap((file) =>
      linksOf(fs.readFileSync(path.join(ROOT, file), "utf8")).flatMap((target) => {
        const reason = problem(file, target);
        return reason === undefined ? [] : [`${file}: ${target}: ${reason}`];
      })
    );
    assert.deepEqual(wrong, []);
  });

  it("links - the README of a folder names all files and folders in it", () => {
    const folders = files.filter((file) => /^(lib|cli|tests)\/.*README\.md$/.test(file)).map(path.dirname);
    const missing = folders.flatMap((folder) => {
      const text = fs.readFileSync(path.join(ROOT, folder, "README.md"), "utf8");
      return fs.readdirSync(path.join(ROOT, folder))
        .filter((name) => name !== "README.md" && !text.includes(name))
        .map((name) => `${folder}/README.md does not name ${name}`);
    });
    assert.deepEqual(missing, []);
  });

  it("links - docs/README.md lists every page of docs/, and each page says who reads it", () => {
    const listed = linksOf(fs.readFileSync(path.join(ROOT, "docs/README.md"), "utf8"));
    for (
      const page of files.filter((file) => path.dirname(file) === "docs").map((file) => path.basename(file))
    ) {
      if (page !== "README.md") assert.ok(listed.includes(page), `docs/README.md does not list ${page}`);
      const head = fs.readFileSync(path.join(ROOT, "docs", page), "utf8").split("\n").slice(0, 4);
      assert.ok(head.some((line) => line.startsWith("Who reads this: ")), `docs/${page}: who reads this?`);
    }
  });

  it("links - docs/development.md lists the tasks and the dependencies of deno.json", () => {
    const { tasks, imports } = JSON.parse(fs.readFileSync(path.join(ROOT, "deno.json"), "utf8"));
    const page = fs.readFileSync(path.join(ROOT, "docs/development.md"), "utf8");
    const words = [
      ...Object.keys(tasks).map((name) => [`deno task ${name}`, `\`${name}\``]),
      ...Object.values<string>(imports).map((name) => [name.replace(/^npm:(.+)@/, "$1 ")]),
    ];
    assert.deepEqual(words.filter((forms) => !forms.some((form) => page.includes(form))), []);
  });

  it("links - docs/addresses.md lists all commands", () => {
    const page = fs.readFileSync(path.join(ROOT, "docs/addresses.md"), "utf8");
    const forms = (name: string) => [name, name.split(" ").at(-1)!].map((word) => `\`${word}\``);
    const names = COMMANDS.map(({ name }) => name);
    assert.deepEqual(names.filter((name) => !forms(name).some((form) => page.includes(form))), []);
  });

  it("links - anchors are those of GitHub", () => {
    const markdown =
      "# Differences from RabbitMQ 3.10.8\n## `pub`, `sub`\n## Twice\n## Twice\n```sh\n# no heading\n```";
    assert.deepEqual(anchorsOf(markdown), ["differences-from-rabbitmq-3108", "pub-sub", "twice", "twice-1"]);
  });

  it("links - a wrong link is reported with its reason", () => {
    assert.equal(problem("docs/README.md", "missing.md"), "docs/missing.md does not exist");
    assert.equal(problem("docs/README.md", "../README.md#nowhere"), "README.md has no heading 'nowhere'");
    assert.equal(problem("README.md", "http://example.org"), "is not https");
  });
});
