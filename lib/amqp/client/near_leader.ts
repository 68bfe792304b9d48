import { MqcatError, UnreachableError } from "../../errors.ts";
import type { LinkOptions } from "../../link/options.ts";
import { resolve } from "../../transport/address.ts";
import type { HostEndpoint } from "../../transport/endpoint_types.ts";
import { askFirst } from "./http_api.ts";
import { managementUrl, queueInfo } from "./management.ts";
import type { BrokerAddress } from "./url.ts";

/** The time limit for a request to the HTTP API of each host, in milliseconds: the connection waits for it. */
const LIMIT_MS = 2000;

/** Options of clients that ask the HTTP API about a queue. */
export interface ClusterOptions {
  /**
   * AMQP: whether to connect to the node that has the leader of the queue, or a classic queue itself. The HTTP API is asked for it
   * before each connection. If it does not know, the event `leaderless` is reported. Default: false
   */
  readonly nearLeader?: boolean | undefined;
  /**
   * AMQP: the URLs of the HTTP API, for `nearLeader` and for the reasons of refused messages; the first one that answers is used. Default: `http://HOST:15672` for each host of the broker,
   * with TLS `https://HOST:15671`
   */
  readonly http?: readonly string[] | undefined;
}

/** A port of a node, as the HTTP API lists it. */
interface Listener {
  readonly node: string;
  readonly protocol: string;
  readonly port: number;
}

/** The URLs of the HTTP API of brokers. */
export function httpUrls(brokers: readonly BrokerAddress[], { http }: ClusterOptions): readonly string[] {
  return http ?? [...new Set(brokers.map(managementUrl))];
}

/** Adds an order of the hosts, if the options want it: the one near the leader of a queue is the first. */
export function nearLeader<O extends LinkOptions & ClusterOptions>(
  brokers: readonly BrokerAddress[],
  queue: string,
  options: O,
): O {
  if (!options.nearLeader || brokers.length < 2) return options;
  return {
    ...options,
    async order(hosts) {
      try {
        const leader = await findLeader(brokers, queue, httpUrls(brokers, options));
        const isFirst = ({ endpoint }: typeof hosts[number]) => endpoint === leader;
        return [...hosts.filter(isFirst), ...hosts.filter((host) => !isFirst(host))];
      } catch (error) {
        if (!(error instanceof MqcatError)) throw error;
        options.onEvent?.({ type: "leaderless", error });
        return hosts;
      }
    },
  };
}

/** @throws {MqcatError} the node is not known, or it is none of the hosts */
async function findLeader(
  brokers: readonly BrokerAddress[],
  queue: string,
  urls: readonly string[],
): Promise<BrokerAddress["endpoint"]> {
  const { leader, node } = await queueInfo(urls, brokers[0]!, queue, LIMIT_MS);
  const place = leader ?? node;
  if (typeof place !== "string") throw new UnreachableError(`queue '${queue}' has no leader for now`);
  const { listeners = [] } = await askFirst(urls, brokers[0]!, "overview", LIMIT_MS) as {
    readonly listeners?: readonly Listener[];
  };
  const ports = listeners.filter(({ node, protocol }) => node === place && protocol.startsWith("amqp"))
    .map(({ port }) => port);
  const hosts = brokers.map(({ endpoint }) => endpoint as HostEndpoint);
  const endpoint = await hostOf(place, hosts.filter(({ port }) => ports.includes(port)));
  if (endpoint !== undefined) return endpoint;
  throw new UnreachableError(
    `the leader of queue '${queue}' is at node '${place}', and it is not known which of the hosts that is`,
  );
}

/** The host that is a node; undefined if it is not known. @param hosts those with a port of the node */
async function hostOf(node: string, hosts: readonly HostEndpoint[]): Promise<HostEndpoint | undefined> {
  if (hosts.length < 2) return hosts[0];
  const name = node.slice(node.indexOf("@") + 1).toLowerCase();
  const [short] = name.split(".");
  const named = hosts.find(({ host }) => host.toLowerCase() === name) ??
    hosts.find(({ host }) => host.toLowerCase().split(".")[0] === short);
  if (named !== undefined) return named;
  const addresses: string[] = await resolve(name).catch(() => []);
  return hosts.find(({ host }) => addresses.includes(host));
}
