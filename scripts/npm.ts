/**
 * Writes dist/npm, the package `mqcat` of npm, and packs it: the program for Node and Bun, and the library with its types.
 * It has no dependencies: what it uses of other packages is in its bundles, and their licences are in a file.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findBun } from "./bun.ts";
import { bundledPackages, licences } from "./release/packages.ts";

const TYPESCRIPT = "typescript@7.0.2";
const root = fileURLToPath(new URL("..", import.meta.url));
const folder = `${root}dist/npm/`;

/** @returns the path of the packed package */
export function packNpm(): string {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const program = bundleForNode();
  fs.writeFileSync(program, `#!/usr/bin/env node\n${fs.readFileSync(program, "utf8")}`);
  fs.chmodSync(program, 0o755);
  writeTypes();
  for (const name of ["README.md", "CHANGELOG.md", "LICENSE"]) fs.copyFileSync(root + name, folder + name);
  fs.writeFileSync(`${folder}THIRD-PARTY-LICENSES`, licences(bundledPackages()));
  fs.writeFileSync(`${folder}package.json`, `${JSON.stringify(manifest(), undefined, 2)}\n`);
  const name = execFileSync("npm", ["pack", "--silent", "--pack-destination", ".."], {
    cwd: folder,
    encoding: "utf8",
  });
  return `${root}dist/${name.trim()}`;
}

/** Builds the program and the library, which share their chunks. @returns the path of the program */
export function bundleForNode(out: string = `${folder}dist`): string {
  const options = ["--target", "node", "--splitting", "--minify-whitespace", "--minify-syntax"];
  const args = ["build", "cli/main.ts", "mod.ts", "--outdir", out, ...options];
  execFileSync(findBun(), args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  return `${out}/cli/main.js`;
}

/** Writes the declarations of `mod.ts` and of all that it imports. */
function writeTypes(): void {
  const { compilerOptions } = JSON.parse(fs.readFileSync(`${root}deno.json`, "utf8"));
  const options = {
    ...compilerOptions,
    target: "es2024",
    lib: ["es2024", "dom", "dom.iterable", "esnext"],
    module: "nodenext",
    types: [],
    noCheck: true,
    allowImportingTsExtensions: true,
    declaration: true,
    emitDeclarationOnly: true,
    stripInternal: true,
    rootDir: "../..",
    outDir: "types",
  };
  const config = `${folder}tsconfig.json`;
  fs.writeFileSync(config, JSON.stringify({ compilerOptions: options, files: ["../../mod.ts"] }));
  execFileSync("npx", ["-y", "-p", TYPESCRIPT, "tsc", "-p", config], {
    stdio: ["ignore", 2, 2],
  });
  fs.rmSync(config);
}

function manifest(): unknown {
  const { version, license } = JSON.parse(fs.readFileSync(`${root}deno.json`, "utf8"));
  return {
    name: "mqcat",
    version,
    description: "Netcat for messaging patterns: ZeroMQ, RabbitMQ, MQTT, STOMP and plain sockets",
    keywords: ["zeromq", "zmq", "rabbitmq", "amqp", "mqtt", "stomp", "netcat", "broker", "cli"],
    license,
    type: "module",
    bin: { mqcat: "dist/cli/main.js" },
    exports: { ".": { types: "./types/mod.d.ts", default: "./dist/mod.js" } },
    types: "./types/mod.d.ts",
    engines: { node: ">=20.19", bun: ">=1.3" },
    files: ["dist", "types", "CHANGELOG.md", "THIRD-PARTY-LICENSES"],
  };
}

if (import.meta.main) process.stdout.write(`${packNpm()}\n`);
