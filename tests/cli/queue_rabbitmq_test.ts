/** The queue commands with RabbitMQ. */
import { BROKERS } from "../support/brokers.ts";
import { queueSuite } from "./queue/suite.ts";

for (const kind of BROKERS) if (kind.name === "RabbitMQ") queueSuite(kind);
