import {
  AddressInUseError,
  CertificateError,
  EndpointError,
  messageOf,
  ProtocolError,
  UnreachableError,
} from "../../errors.ts";

/** A promise that is resolved from outside, once; `open` says synchronously whether it is resolved. */
export class Latch<T> {
  readonly promise: Promise<T>;
  open = false;
  #resolve!: (value: T) => void;

  constructor() {
    this.promise = new Promise((resolve) => this.#resolve = resolve);
  }

  resolve(value: T): void {
    this.open = true;
    this.#resolve(value);
  }
}

/** Maps a runtime's error of connecting or binding to one of our errors. */
export function refused(error: unknown): Error {
  if (error instanceof DOMException) return error;
  const text = messageOf(error);
  const code = (error as { code?: string }).code ?? "";
  if (code === "EADDRINUSE" || /address already in use/i.test(text)) {
    return new AddressInUseError("The address is in use: another program is bound to it", { cause: error });
  }
  // Deno's node:net reports EINVAL for a source address of another machine.
  if (code === "EADDRNOTAVAIL" || /not available|cannot assign|^bind EINVAL/i.test(text)) {
    return new EndpointError("The address does not belong to this machine", { cause: error });
  }
  if (code === "EACCES" || /permission denied/i.test(text)) {
    return new EndpointError("Permission denied: a port under 1024 or the path needs more rights", {
      cause: error,
    });
  }
  if (code === "ECONNREFUSED" || /refused/i.test(text)) {
    return new UnreachableError("Connection refused: nothing is listening there", { cause: error });
  }
  if (code === "ENOENT" || /no such file/i.test(text)) {
    return new UnreachableError("No such socket: nothing is listening there", { cause: error });
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN" || /failed to lookup|not known/i.test(text)) {
    return new UnreachableError("The host name does not resolve", { cause: error });
  }
  if (
    /wrong.version.number|corrupt message|InvalidContentType|packet length too long|http request|before secure TLS/i
      .test(text)
  ) {
    return new ProtocolError(
      "The peer does not speak TLS: use a scheme with TLS at both ends or at neither",
      {
        cause: error,
      },
    );
  }
  if (/certificate|self.signed|issuer|altname/i.test(text)) {
    return new CertificateError(`The certificate is not trusted: ${text}`, { cause: error });
  }
  return new UnreachableError(text, { cause: error });
}

/** Whether an error only says that a socket is already closed. */
export function isFinished(error: unknown): boolean {
  const text = messageOf(error);
  return /not connected|bad resource|EPIPE|ENOTCONN/i.test(text);
}
