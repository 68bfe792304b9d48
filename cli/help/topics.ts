/** The topics of `mqcat help`. Their texts are loaded when one is read. */

type Text = Promise<{ readonly default: string }>;

const FILES: Readonly<Record<string, () => Text>> = {
  addresses: () => import("./topics/addresses.md", { with: { type: "text" } }),
  formats: () => import("./topics/formats.md", { with: { type: "text" } }),
  delivery: () => import("./topics/delivery.md", { with: { type: "text" } }),
  "exit-codes": () => import("./topics/exit-codes.md", { with: { type: "text" } }),
  security: () => import("./topics/security.md", { with: { type: "text" } }),
  patterns: () => import("./topics/patterns.md", { with: { type: "text" } }),
};

/** The names of the topics. */
export const TOPICS: readonly string[] = Object.keys(FILES);

/** Loads the text of a topic; undefined if there is none with this name. */
export async function topicText(name: string): Promise<string | undefined> {
  return (await FILES[name]?.())?.default;
}
