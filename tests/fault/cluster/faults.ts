/** The faults of the suite, as data. */
import type { Auditor } from "./auditor.ts";
import type { NodeName, RabbitMqCluster } from "../../support/rabbitmq_cluster.ts";

/**
 * A fault of a cluster. The queues have their node or leader at b. Every command that works when it happens delivers everything
 * and exits with 0 after it is repaired, unless the queues are deleted.
 */
export interface Fault {
  readonly name: string;
  /** The nodes that the commands are given, the first one first. */
  readonly via: readonly NodeName[];
  /** Changes the cluster before. */
  prepare?(cluster: RabbitMqCluster): Promise<void>;
  /** Does the damage. */
  strike(cluster: RabbitMqCluster, auditor: Auditor, queues: readonly string[]): Promise<void>;
  /** Repairs it. Default: nothing can */
  heal?(cluster: RabbitMqCluster): Promise<void>;
}

/** Nodes without a majority close their connections until they have one again. */
async function pauseMinority(cluster: RabbitMqCluster): Promise<void> {
  const expression = "application:set_env(rabbit, cluster_partition_handling, pause_minority).";
  for (const node of ["a", "b", "c"] as const) await cluster.control(node, "eval", expression);
}

/** All faults, in the order of the suite. */
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
    prepare: pauseMinority,
    async strike(cluster) {
      cluster.pause("b");
      await cluster.isMember("a", ["a", "c"]);
    },
    async heal(cluster) {
      cluster.resume("b");
      // RabbitMQ 3.10 sees a partition then, which an operator has to end.
      await cluster.kill("b");
      await cluster.restart("b");
    },
  },
  {
    name: "pause_minority",
    via: ["a", "b", "c"],
    prepare: pauseMinority,
    async strike(cluster) {
      await Promise.all([cluster.kill("b"), cluster.kill("c")]);
    },
    async heal(cluster) {
      await cluster.restart("b", "c");
      await cluster.isMember("a");
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
    name: "alarms",
    via: ["a"],
    async strike(cluster) {
      await cluster.control("b", "set_vm_memory_high_watermark", "absolute", "1");
      await cluster.control("c", "set_disk_free_limit", "900000GB");
    },
    async heal(cluster) {
      await cluster.control("b", "set_vm_memory_high_watermark", "absolute", "400MB");
      await cluster.control("c", "set_disk_free_limit", "1MB");
    },
  },
  {
    name: "deletion",
    via: ["a"],
    strike: (_cluster, auditor, queues) => auditor.delete(queues),
  },
];
