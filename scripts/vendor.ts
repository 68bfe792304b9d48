/**
 * Copies the libraries of the web page from npm to lib/page/vendor, with their licences. They are in the
 * repository, so that the program embeds them as text without a build step.
 */
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { licences, vendoredPackages } from "./release/packages.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The files by their names in lib/page/vendor, and the files of the packages. */
const FILES: Readonly<Record<string, string>> = {
  // It contains Preact.
  "preact.js": "htm/preact/standalone.module.js",
  "uplot.js": "uplot/dist/uPlot.iife.min.js",
  "uplot.css": "uplot/dist/uPlot.min.css",
};

/** The content of lib/page/vendor by file name. */
export function vendorFiles(): Map<string, string> {
  const read = (path: string) => fs.readFileSync(`${root}node_modules/${path}`, "utf8");
  const files = new Map(Object.entries(FILES).map(([name, path]) => [name, read(path)]));
  return files.set("LICENSES", licences(vendoredPackages()));
}

/** The folder of the copies. */
export const VENDOR: string = `${root}lib/page/vendor/`;

if (import.meta.main) {
  for (const [name, text] of vendorFiles()) fs.writeFileSync(VENDOR + name, text);
}
