import { AddressInUseError, EndpointError, messageOf, UnreachableError } from "../errors.ts";
import { type Endpoint, formatEndpoint } from "./endpoint.ts";

/** Puts what was tried, and the endpoint's name, before what went wrong with it. */
export function named(action: string, endpoint: Endpoint, error: unknown): Error {
  const reason = messageOf(error);
  const text = `Cannot ${action} ${formatEndpoint(endpoint)}: ${reason.charAt(0).toLowerCase()}${
    reason.slice(1)
  }`;
  if (error instanceof AddressInUseError) return new AddressInUseError(text, { cause: error });
  if (error instanceof EndpointError) return new EndpointError(text, { cause: error });
  return new UnreachableError(text, { cause: error });
}
