/** A unique name of 22 characters: 128 random bits in base64url, as RabbitMQ's names have. */
export function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The name of a connection, such as `127.0.0.1:51234 -> 127.0.0.1:5672`. */
export function connectionName(
  { local, remote }: { readonly local: string; readonly remote: string },
): string {
  const short = (endpoint: string) => endpoint.replace(/^t(cp|ls):\/\//, "");
  return `${short(remote)} -> ${short(local)}`;
}
