/** The packages of npm that are part of the program: their versions and licences. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

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

/** The packages that the modules of the program import. */
export function bundledPackages(): Package[] {
  const info = execFileSync(process.execPath, ["info", "--json", "cli/main.ts"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
  });
  const { modules, npmPackages }: Graph = JSON.parse(info);
  const ids = new Set(modules.flatMap(({ npmPackage }) => npmPackage ?? []));
  return [...ids].map((id) => describe(npmPackages[id]!.localPath)).sort((a, b) => a.name < b.name ? -1 : 1);
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
