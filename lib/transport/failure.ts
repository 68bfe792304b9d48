import {
  AddressInUseError,
  CertificateError,
  EndpointError,
  IncompatiblePeerError,
  LimitError,
  messageOf,
  MissingCertificateError,
  ProtocolError,
  UnreachableError,
} from "../errors.ts";
import { type Endpoint, formatEndpoint } from "./endpoint.ts";

/**
 * Errors that keep their class, a subclass before its base. Any other error becomes an `UnreachableError`, or an
 * `EndpointError` if the address cannot be bound.
 */
const KINDS = [
  AddressInUseError,
  CertificateError,
  MissingCertificateError,
  EndpointError,
  IncompatiblePeerError,
  LimitError,
  ProtocolError,
];

/** Wraps an error so that its message begins with the action and the endpoint. */
export function named(
  action: "bind" | "connect to" | "reach" | "send to",
  endpoint: Endpoint,
  error: unknown,
): Error {
  const reason = messageOf(error);
  const text = `Cannot ${action} ${formatEndpoint(endpoint)}: ${reason.charAt(0).toLowerCase()}${
    reason.slice(1)
  }`;
  const otherwise = action === "bind" ? EndpointError : UnreachableError;
  const kind = KINDS.find((kind) => error instanceof kind) ?? otherwise;
  return new kind(text, { cause: error });
}
