import { HttpError, notFound } from "./errors.ts";
import type { Handler } from "./request.ts";

/** Handlers by method and path: `GET /api/queues/:vhost/:name`. */
export type Handlers = Readonly<Record<string, Handler>>;

interface PathPattern {
  /** The parts between slashes; a part that starts with a colon matches any text. */
  readonly parts: readonly string[];
  readonly handlers: Map<string, Handler>;
}

/** Finds the handler for a request. */
export class PathTable {
  readonly #patterns: readonly PathPattern[];

  /** @param all the handlers; of two patterns that match a path, the first one is used for all methods */
  constructor(...all: readonly Handlers[]) {
    const patterns = new Map<string, PathPattern>();
    for (const [route, handler] of all.flatMap((handlers) => Object.entries(handlers))) {
      const [method, path] = route.split(" ") as [string, string];
      let pattern = patterns.get(path);
      if (pattern === undefined) {
        patterns.set(path, pattern = { parts: path.split("/"), handlers: new Map() });
      }
      pattern.handlers.set(method, handler);
    }
    this.#patterns = [...patterns.values()];
  }

  /**
   * @param path the path of the request, without its query
   * @throws {HttpError} 404: the path is unknown; 405: the method is not allowed; 400: the path is malformed
   */
  find(method: string, path: string): { readonly handler: Handler; readonly params: Record<string, string> } {
    const parts = decode(path.length > 1 ? path.replace(/\/$/, "") : path);
    for (const pattern of this.#patterns) {
      const params = match(pattern.parts, parts);
      if (params === undefined) continue;
      const handler = pattern.handlers.get(method);
      if (handler === undefined) throw methodNotAllowed([...pattern.handlers.keys()]);
      return { handler, params };
    }
    throw notFound();
  }
}

function methodNotAllowed(methods: readonly string[]): HttpError {
  const allow = methods.flatMap((method) => method === "GET" ? ["HEAD", "GET"] : [method]).join(", ");
  return new HttpError(405, "method_not_allowed", `Use ${methods.join(" or ")}`, { allow });
}

function decode(path: string): string[] {
  try {
    return path.split("/").map(decodeURIComponent);
  } catch {
    throw new HttpError(400, "bad_request", "the path has a malformed % sequence");
  }
}

function match(pattern: readonly string[], parts: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== parts.length) return undefined;
  const params: Record<string, string> = Object.create(null);
  for (let i = 0; i < pattern.length; i++) {
    const one = pattern[i]!;
    if (one.startsWith(":")) params[one.slice(1)] = parts[i]!;
    else if (one !== parts[i]) return undefined;
  }
  return params;
}
