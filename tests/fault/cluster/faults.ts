/** The faults of the suite, as data. */
import type { NodeName, RabbitMqCluster } from "../../support/rabbitmq_cluster.ts";

/** A fault of a cluster. The queues have their node or leader at b. */
export interface Fault {
  readonly name: string;
  /** The nodes that the commands are given, the first one first. */
  readonly via: readonly NodeName[];
  /** Changes the cluster before. */
  prepare?(cluster: RabbitMqCluster): Promise<void>;
  /** Does the damage. */
  strike(cluster: RabbitMqCluster): Promise<void>;
  /** Repairs it. */
  heal(cluster: RabbitMqCluster): Promise<void>;
}

const PAUSE_MINORITY = "application:set_env(rabbit, cluster_partition_handling, pause_minority).";

/** The faults after which every command without a limit delivers everything and exits with 0. */
export const FAULTS: readonly Fault[] = [
  {
    name: "kill",
    via: ["a"],
    strike: (cluster) => cluster.kill("b"),
    heal: (cluster) => cluster.restart("b"),
  },
  {
    name: "stop",
    via: ["b", "c", "a"],
    strike: (cluster) => cluster.stop("b"),
    heal: (cluster) => cluster.restart("b"),
  },
  {
    name: "minority",
    via: ["a"],
    async strike(cluster) {
      await Promise.all([cluster.kill("b"), cluster.kill("c")]);
    },
    heal: (cluster) => cluster.restart("b", "c"),
  },
  {
    name: "freeze",
    via: ["a"],
    async prepare(cluster) {
      for (const node of ["a", "b", "c"] as const) await cluster.control(node, "eval", PAUSE_MINORITY);
    },
    async strike(cluster) {
      cluster.pause("b");
      await cluster.isMember("a", ["a", "c"]);
    },
    async heal(cluster) {
      cluster.resume("b");
      for (const node of ["a", "b"] as const) await cluster.isMember(node);
    },
  },
  {
    name: "all",
    via: ["a", "b", "c"],
    async strike(cluster) {
      await Promise.all([cluster.kill("a"), cluster.kill("b"), cluster.kill("c")]);
    },
    heal: (cluster) => cluster.restart("a", "b", "c"),
  },
  {
    name: "memory",
    via: ["a"],
    strike: (cluster) => cluster.control("b", "set_vm_memory_high_watermark", "absolute", "1"),
    heal: (cluster) => cluster.control("b", "set_vm_memory_high_watermark", "absolute", "400MB"),
  },
  {
    name: "disk",
    via: ["a"],
    strike: (cluster) => cluster.control("b", "set_disk_free_limit", "1000TB"),
    heal: (cluster) => cluster.control("b", "set_disk_free_limit", "1MB"),
  },
];
