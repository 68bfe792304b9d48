/**
 * Writes dist/release: an archive for each platform, Debian packages, checksums, a bill of materials, a Homebrew formula.
 *
 *   deno task release [PLATFORM…]     such as linux-x64; default: all of targets.ts
 *
 * The binaries are made by `bun build --compile`, which gets the runtimes of other platforms from npm. At the end it
 * lists the commands for binaries by `deno compile`, which needs to download Deno's runtime.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findBun } from "../bun.ts";
import { compileWithBun } from "../compile_bun.ts";
import { pack } from "./archive.ts";
import { debPackage } from "./deb.ts";
import { type Bottle, formula } from "./formula.ts";
import { type Kit, writeKit } from "./kit.ts";
import { bundledPackages } from "./packages.ts";
import { billOfMaterials } from "./sbom.ts";
import { type Target, TARGETS } from "./targets.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Where the archives will be; `$MQCAT_DOWNLOADS` replaces it. */
const DOWNLOADS = "https://github.com/mqcat/mqcat/releases/download";

/**
 * Writes a release.
 *
 * @param out the folder, with a slash at its end; what is in it is deleted
 * @param binary a binary of this version for this machine
 * @returns the paths of the files
 */
export async function release(out: string, targets: readonly Target[], binary: string): Promise<string[]> {
  fs.rmSync(out, { recursive: true, force: true });
  fs.mkdirSync(out, { recursive: true });
  const packages = bundledPackages();
  const bunVersion = execFileSync(findBun(), ["--version"], { encoding: "utf8" }).trim();
  const { version, license } = JSON.parse(fs.readFileSync(`${root}deno.json`, "utf8"));
  const staging = `${out}staging/`;
  const files: string[] = [];
  const bottles: Bottle[] = [];
  for (const target of targets) {
    const name = `mqcat-${version}-${target.name}`;
    const kit = await writeKit(`${staging}${name}/`, binary, packages, bunVersion);
    const archive = addProgram(kit, target, binary, `${out}${name}`);
    files.push(archive);
    if (target.brew !== undefined) {
      bottles.push({ target, file: archive.slice(out.length), sha256: sha256(archive) });
    }
    if (target.deb !== undefined) files.push(debPackage(kit, target.deb, out));
    fs.rmSync(kit.folder, { recursive: true });
  }
  fs.rmdirSync(staging);

  const write = (name: string, text: string) => {
    fs.writeFileSync(out + name, text);
    files.push(out + name);
  };
  write(`mqcat-${version}.cdx.json`, billOfMaterials({ version, license, bunVersion, packages }));
  write("mqcat.rb", formula(version, `${process.env.MQCAT_DOWNLOADS ?? DOWNLOADS}/v${version}`, bottles));
  write("SHA256SUMS", files.map((file) => `${sha256(file)}  ${file.slice(out.length)}\n`).join(""));
  return files;
}

/** Puts the binary of a platform to its kit, and packs it. */
function addProgram({ folder }: Kit, target: Target, binary: string, archive: string): string {
  if (target.name === hostTarget()) fs.copyFileSync(binary, `${folder}mqcat`);
  else compileWithBun(`${folder}mqcat`, target.bun);
  if (!target.name.startsWith("linux")) {
    for (const name of ["Containerfile", "mqcat.service"]) fs.rmSync(folder + name);
  }
  const file = `${archive}${target.name.startsWith("windows") ? ".zip" : ".tar.gz"}`;
  pack(folder, file);
  return file;
}

/** The name of this machine's platform. */
function hostTarget(): string {
  const system = { linux: "linux", darwin: "macos", win32: "windows" }[process.platform as string];
  return `${system}-${process.arch}`;
}

function sha256(file: string): string {
  return createHash("sha256").update(fs.readFileSync(file)).digest("hex");
}

if (import.meta.main) {
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !TARGETS.some((target) => target.name === name));
  if (unknown !== undefined) {
    console.error(`no platform ${unknown}; there are ${TARGETS.map(({ name }) => name).join(", ")}`);
    process.exit(2);
  }
  const targets = TARGETS.filter(({ name }) => names.length === 0 || names.includes(name));
  for (const file of await release(`${root}dist/release/`, targets, compileWithBun())) {
    console.log(`${(fs.statSync(file).size / 1e6).toFixed(1).padStart(6)} MB  ${file}`);
  }
  console.log(
    "\nOn a machine that can download Deno's runtime, deno compile makes binaries of the same program:",
  );
  const { tasks } = JSON.parse(fs.readFileSync(`${root}deno.json`, "utf8"));
  console.log("  deno task bundle");
  for (const { name, deno } of TARGETS) {
    const output = `--target ${deno} --output dist/mqcat-${name}`;
    console.log(`  ${tasks.compile.command.replace("--output dist/mqcat", output)}`);
  }
}
