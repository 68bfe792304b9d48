import fs from "node:fs";
import os from "node:os";
import process from "node:process";
import { descriptorLimit, openDescriptors } from "../../transport/descriptors.ts";
import type { HttpHost } from "./host.ts";

/** The resources of the process and their limits, with their names in RabbitMQ's HTTP API. */
export function resourcesOf({ connections, core, options }: HttpHost): Record<
  | `${"mem" | "fd" | "sockets"}_used`
  | `${"fd" | "sockets"}_total`
  | "mem_limit"
  | "disk_free"
  | "disk_free_limit",
  number
> {
  const limit = descriptorLimit();
  const { bavail, bsize } = fs.statfsSync(options.data ?? os.tmpdir());
  const { rss } = process.memoryUsage();
  // Without a directory, publishers are blocked at a limit of the messages, which are a part of the memory.
  const limitOfAll = options.data === undefined
    ? rss - core.journal.memorySize + options.memoryLimit
    : os.totalmem();
  return {
    mem_used: rss,
    mem_limit: limitOfAll,
    fd_used: openDescriptors(),
    // JSON and Prometheus have no number for "no limit" that a client can subtract from.
    fd_total: Number.isFinite(limit) ? limit : Number.MAX_SAFE_INTEGER,
    sockets_used: connections.size,
    sockets_total: options.maxConnections,
    disk_free: bavail * bsize,
    disk_free_limit: 0,
  };
}
