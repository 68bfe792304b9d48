/** What each archive of a release contains, in a folder. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { writeManPages } from "../man.ts";
import { licences, type Package } from "./packages.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The folder and what it is made of. */
export interface Kit {
  /** The path, with a slash at its end. */
  readonly folder: string;
  readonly version: string;
}

/** The completion scripts as the shells name them in their folders. */
const COMPLETIONS = { bash: "mqcat.bash", zsh: "_mqcat", fish: "mqcat.fish", powershell: "mqcat.ps1" };

/**
 * Writes all but the program: completions, man pages, licences, the unit for systemd, the Containerfile.
 *
 * @param program a binary for this machine, which prints the completion scripts
 */
export async function writeKit(
  folder: string,
  program: string,
  packages: readonly Package[],
  bunVersion: string,
): Promise<Kit> {
  fs.mkdirSync(`${folder}completions`, { recursive: true });
  for (const [shell, file] of Object.entries(COMPLETIONS)) {
    fs.writeFileSync(`${folder}completions/${file}`, execFileSync(program, ["completion", shell]));
  }
  await writeManPages(`${folder}man/`);
  for (const name of ["README.md", "CHANGELOG.md", "LICENSE"]) fs.copyFileSync(root + name, folder + name);
  const runtime =
    `This program contains Bun ${bunVersion} (MIT), which contains JavaScriptCore (LGPL-2.0) and others:
https://bun.com/docs/project/licensing

${"-".repeat(80)}

`;
  fs.writeFileSync(`${folder}THIRD-PARTY-LICENSES`, runtime + licences(packages));
  for (const name of ["Containerfile", "mqcat.service"]) {
    fs.copyFileSync(new URL(`files/${name}`, import.meta.url), folder + name);
  }
  const { version } = JSON.parse(fs.readFileSync(`${root}deno.json`, "utf8"));
  return { folder, version };
}
