/** The queue commands with RabbitMQ. */
import { BROKERS } from "../support/brokers.ts";
import { target } from "../support/mqcat.ts";
import { queueSuite } from "./queue/suite.ts";

// RabbitMQ is slow, and the binary starts fastest. The client itself is tested with RabbitMQ on both runtimes.
for (const kind of BROKERS) if (kind.name === "RabbitMQ" && target === "binary") queueSuite(kind);
