/** The platforms of a release. */

/** One platform. */
export interface Target {
  /** The name in the archive's file name. */
  readonly name: string;
  /** What `bun build --target` calls it. */
  readonly bun: string;
  /** What `deno compile --target` calls it. */
  readonly deno: string;
  /** Debian's name of the architecture, where there is a package. */
  readonly deb?: string;
  /** The blocks of a Homebrew formula around the URL. */
  readonly brew?: readonly [system: "on_macos" | "on_linux", cpu: "on_arm" | "on_intel"];
}

export const TARGETS: readonly Target[] = [
  {
    name: "linux-x64",
    bun: "bun-linux-x64",
    deno: "x86_64-unknown-linux-gnu",
    deb: "amd64",
    brew: ["on_linux", "on_intel"],
  },
  {
    name: "linux-arm64",
    bun: "bun-linux-arm64",
    deno: "aarch64-unknown-linux-gnu",
    deb: "arm64",
    brew: ["on_linux", "on_arm"],
  },
  {
    name: "macos-arm64",
    bun: "bun-darwin-arm64",
    deno: "aarch64-apple-darwin",
    brew: ["on_macos", "on_arm"],
  },
  { name: "macos-x64", bun: "bun-darwin-x64", deno: "x86_64-apple-darwin", brew: ["on_macos", "on_intel"] },
  { name: "windows-x64", bun: "bun-windows-x64", deno: "x86_64-pc-windows-msvc" },
];
