/** Debian's Chromium, driven by playwright-core. */
import fs from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { requirePeer } from "./helpers.ts";

const PATH = "/usr/bin/chromium";

/** `it` for tests in a browser. */
export const test = requirePeer("chromium", fs.existsSync(PATH));

/** Starts a browser. The tests may run as root, which Chromium's sandbox refuses; they open only pages of this machine. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: PATH, args: ["--no-sandbox"], chromiumSandbox: false });
}
