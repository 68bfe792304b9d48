import type { Runtime } from "../stream.ts";

/** Loads the adapter of the runtime that this process runs on, and not the other one. */
export async function currentRuntime(): Promise<Runtime> {
  return "Deno" in globalThis
    ? (await import("./deno.ts")).denoRuntime
    : (await import("./node.ts")).nodeRuntime;
}
