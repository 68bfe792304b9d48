/** The packages of npm that are part of the program: their versions and licences. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The licence of Preact, which is in a file of htm, but not in its package. */
const PREACT = `The MIT License (MIT)

Copyright (c) 2015-present Jason Miller

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`;

/** A package that the program contains. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** The SPDX expression of its `package.json`. */
  readonly license: string;
  /** The text of its licence, empty if the package has none. */
  readonly text: string;
}

/** What `deno info --json` says, as far as it is read here. */
interface Graph {
  readonly modules: readonly { npmPackage?: string }[];
  readonly npmPackages: Readonly<Record<string, { name: string; localPath: string }>>;
}

/** The packages that the modules of the program import, and those that are copied into it. */
export function bundledPackages(): Package[] {
  const info = execFileSync(process.execPath, ["info", "--json", "cli/main.ts"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
  });
  const { modules, npmPackages }: Graph = JSON.parse(info);
  const ids = new Set(modules.flatMap(({ npmPackage }) => npmPackage ?? []));
  const imported = [...ids].map((id) => describe(npmPackages[id]!.localPath));
  return [...imported, ...vendoredPackages()].sort((a, b) => a.name < b.name ? -1 : 1);
}

/** The packages of which lib/page/vendor has files. */
export function vendoredPackages(): Package[] {
  const [htm, uplot] = ["htm", "uplot"].map((name) => describe(`${root}node_modules/${name}`));
  return [{ ...htm!, text: `${htm!.text}\nIts file contains Preact (MIT):\n\n${PREACT}` }, uplot!];
}

function describe(folder: string): Package {
  const { name, version, license, dependencies } = JSON.parse(
    fs.readFileSync(`${folder}/package.json`, "utf8"),
  );
  if (Object.keys(dependencies ?? {}).length > 0) {
    throw new Error(`${name} has dependencies, whose licences belong into the release, too`);
  }
  const file = fs.readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
  const text = file === undefined ? "" : fs.readFileSync(`${folder}/${file}`, "utf8");
  return { name, version, license, text };
}

/** The licences of the packages in one text. */
export function licences(packages: readonly Package[]): string {
  return packages
    .map(({ name, version, license, text }) => `${name} ${version} (${license})\n\n${text}`)
    .join(`\n${"-".repeat(80)}\n\n`);
}
