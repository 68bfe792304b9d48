import { parseStompAddress } from "../../stomp/client/url.ts";
import { publishedTo, queueOf } from "../stomp/destinations.ts";
import { pull, subscribe } from "../stomp/receive.ts";
import { reply } from "../stomp/reply.ts";
import { request, requestedAt } from "../stomp/request.ts";
import { publish, push } from "../stomp/send.ts";
import type { SystemPatterns } from "./system.ts";

export const patterns: SystemPatterns = {
  subscribe: (address, options) => subscribe(parseStompAddress(address), options),
  pull: (address, options) => pull(parseStompAddress(address), options),
  publish(address, options) {
    const parsed = parseStompAddress(address);
    const { exchange, routingKey } = publishedTo(parsed.destination);
    return {
      outlet: publish(parsed, options),
      route: (topic = routingKey) => ({ exchange, routingKey: topic }),
    };
  },
  push(address, options) {
    const parsed = parseStompAddress(address);
    const route = { exchange: "", routingKey: queueOf(parsed.destination) };
    return { outlet: push(parsed, options), route: () => route };
  },
  request(address, { jobs, timeout, ...options }) {
    const parsed = parseStompAddress(address);
    const route = requestedAt(parsed.destination);
    return { route, open: (events) => request(parsed, { ...options, jobs, timeout, ...events }) };
  },
  reply: (address, options) => reply(parseStompAddress(address), options),
};
