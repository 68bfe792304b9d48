import {
  AddressInUseError,
  EndpointError,
  IncompatiblePeerError,
  LimitError,
  messageOf,
  ProtocolError,
  UnreachableError,
} from "../errors.ts";
import { type Endpoint, formatEndpoint } from "./endpoint.ts";

/** What stays what it is; anything else means that nobody could be reached. */
const KINDS = [AddressInUseError, EndpointError, IncompatiblePeerError, LimitError, ProtocolError];

/** Puts what was tried, and the endpoint's name, before what went wrong with it. */
export function named(action: string, endpoint: Endpoint, error: unknown): Error {
  const reason = messageOf(error);
  const text = `Cannot ${action} ${formatEndpoint(endpoint)}: ${reason.charAt(0).toLowerCase()}${
    reason.slice(1)
  }`;
  const kind = KINDS.find((kind) => error instanceof kind) ?? UnreachableError;
  return new kind(text, { cause: error });
}
