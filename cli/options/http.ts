/** The address of an HTTP API, `--http`, in one form for the brokers that serve it and the commands that ask it. */

const FORM = "expected host:port, :port or http://host:port";

/**
 * Parses the addresses of the HTTP API of a broker, with commas between those of a cluster, to URLs. They may have a login.
 *
 * @throws {Error} an address is malformed; the message does not contain it
 */
export function httpUrls(text: string): string[] {
  return text.split(",").map((part) => {
    const [, scheme, login = "", host] = /^(?:(https?):\/\/)?([^/@]*@)?([^]*)$/i.exec(part.trim())!;
    try {
      const url = `${scheme ?? "http"}://${login}${scheme === undefined ? hostAndPort(host!) : host}`;
      new URL(url);
      return url;
    } catch {
      throw new Error(FORM);
    }
  });
}

/** Parses the address at which to serve the HTTP API. Without a value, it is a free port of this machine. */
export function httpListener(text: string): string {
  return text === "" ? "127.0.0.1:0" : hostAndPort(text.replace(/^http:\/\//, "").replace(/\/$/, ""));
}

function hostAndPort(text: string): string {
  if (!/^(\[[\da-f:]+\]|[^\s/:]*):\d+$/i.test(text)) throw new Error(FORM);
  return text.startsWith(":") ? `127.0.0.1${text}` : text;
}
