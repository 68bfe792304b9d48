import { HttpError, notFound } from "./errors.ts";
import type { Handler } from "./request.ts";

/** Handlers by method and path: `GET /api/queues/:vhost/:name`. */
export type Handlers = Readonly<Record<string, Handler>>;

interface PathPattern {
  readonly method: string;
  /** The parts between slashes; a part that starts with a colon matches any text. */
  readonly parts: readonly string[];
  readonly handler: Handler;
}

/** Finds the handler for a request. */
export class PathTable {
  readonly #routes: readonly PathPattern[];

  constructor(...all: readonly Handlers[]) {
    this.#routes = all.flatMap((handlers) =>
      Object.entries(handlers).map(([route, handler]) => {
        const [method, path] = route.split(" ") as [string, string];
        return { method, parts: path.split("/"), handler };
      })
    );
  }

  /**
   * @param path the path of the request, without its query
   * @throws {HttpError} 404: the path is unknown; 405: the method is not allowed; 400: the path is malformed
   */
  find(method: string, path: string): { readonly handler: Handler; readonly params: Record<string, string> } {
    const parts = decode(path.length > 1 ? path.replace(/\/$/, "") : path);
    const allowed: string[] = [];
    for (const route of this.#routes) {
      const params = match(route.parts, parts);
      if (params === undefined) continue;
      if (route.method === method) return { handler: route.handler, params };
      allowed.push(route.method);
    }
    if (allowed.length === 0) throw notFound();
    throw new HttpError(405, "method_not_allowed", `Use ${[...new Set(allowed)].join(" or ")}`);
  }
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
