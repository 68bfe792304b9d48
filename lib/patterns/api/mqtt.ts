import { parseMqttUrl } from "../../mqtt/client/url.ts";
import { pull, subscribe } from "../mqtt/receive.ts";
import { reply } from "../mqtt/reply.ts";
import { request } from "../mqtt/request.ts";
import { publish, push, topicOf } from "../mqtt/send.ts";
import type { SystemPatterns } from "./system.ts";

export const patterns: SystemPatterns = {
  subscribe: (address, options) => subscribe(parseMqttUrl(address), options),
  pull: (address, options) => pull(parseMqttUrl(address), options),
  publish(address, options) {
    const outlet = publish(parseMqttUrl(address), options);
    return { outlet, route: (topic = "") => ({ exchange: "", routingKey: topic }) };
  },
  push(address, options) {
    const target = parseMqttUrl(address);
    const route = { exchange: "", routingKey: topicOf(target) };
    return { outlet: push(target, options), route: () => route };
  },
  request(address, { jobs, timeout, ...options }) {
    const target = parseMqttUrl(address);
    const route = { exchange: "", routingKey: topicOf(target) };
    return { route, open: (events) => request(target, { ...options, jobs, timeout, ...events }) };
  },
  reply: (address, options) => reply(parseMqttUrl(address), options),
};
