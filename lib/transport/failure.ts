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

/** Errors that keep their class, a subclass before its base; any other error becomes an `UnreachableError`. */
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
export function named(action: string, endpoint: Endpoint, error: unknown): Error {
  const reason = messageOf(error);
  const text = `Cannot ${action} ${formatEndpoint(endpoint)}: ${reason.charAt(0).toLowerCase()}${
    reason.slice(1)
  }`;
  const kind = KINDS.find((kind) => error instanceof kind) ?? UnreachableError;
  return new kind(text, { cause: error });
}
