import type { TlsOptions } from "./stream.ts";

/**
 * Replaces certificates while listeners run: new connections get the new ones, and others keep theirs.
 *
 * @example Renew the certificate of a listener
 * ```ts
 * import { listen, TlsReload } from "@mqcat/mqcat";
 *
 * async function serve(read: () => { cert: string; key: string }, renewed: Promise<void>) {
 *   const reload = new TlsReload();
 *   const listener = await listen("tls://*:5671", (stream) => stream.close(), { tls: { ...read(), reload } });
 *   await renewed;
 *   reload.replace(read());
 *   await listener.close();
 * }
 * ```
 */
export class TlsReload {
  /** The newest certificates; undefined before the first `replace`. */
  current: TlsOptions | undefined;

  readonly #listeners = new Set<(options: TlsOptions) => void>();

  /**
   * Replaces the certificates of all listeners and of later connections.
   *
   * @throws {EndpointError} a certificate or key cannot be read, or they do not belong together; nothing is replaced
   */
  replace(options: TlsOptions): void {
    for (const listener of this.#listeners) listener(options);
    this.current = options;
  }

  /** Adds a listener. @returns removes it */
  add(listener: (options: TlsOptions) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
