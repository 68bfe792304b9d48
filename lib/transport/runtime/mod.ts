import type { Runtime } from "../stream.ts";

/** The adapter of the runtime that this process runs on; the other one is never loaded. */
export async function currentRuntime(): Promise<Runtime> {
  return "Deno" in globalThis
    ? (await import("./deno.ts")).denoRuntime
    : (await import("./node.ts")).nodeRuntime;
}
