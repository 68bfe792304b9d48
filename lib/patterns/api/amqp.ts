import { parseAmqpAddress } from "../../amqp/client/url.ts";
import { pull, subscribe } from "../amqp/receive.ts";
import { reply } from "../amqp/reply.ts";
import { request } from "../amqp/request.ts";
import { DEFAULT_EXCHANGE, publish, push, queueOf } from "../amqp/send.ts";
import type { SystemPatterns } from "./system.ts";

export const patterns: SystemPatterns = {
  subscribe: (address, options) => subscribe(parseAmqpAddress(address), options),
  pull: (address, options) => pull(parseAmqpAddress(address), options),
  publish(address, options) {
    const parsed = parseAmqpAddress(address);
    const exchange = parsed.name ?? DEFAULT_EXCHANGE;
    return {
      outlet: publish(parsed, options),
      route: (topic = "") => ({ exchange, routingKey: topic }),
    };
  },
  push(address, options) {
    const parsed = parseAmqpAddress(address);
    const route = { exchange: "", routingKey: queueOf(parsed) };
    return { outlet: push(parsed, options), route: () => route };
  },
  request(address, { jobs, timeout, ...options }) {
    const parsed = parseAmqpAddress(address);
    const route = { exchange: "", routingKey: queueOf(parsed) };
    return { route, open: (events) => request(parsed, { ...options, jobs, timeout, ...events }) };
  },
  reply: (address, options) => reply(parseAmqpAddress(address), options),
};
