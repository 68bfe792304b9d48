/** The queue commands with our own broker. */
import { BROKERS } from "../support/brokers.ts";
import { queueSuite } from "./queue/suite.ts";

for (const kind of BROKERS) if (kind.name !== "RabbitMQ") queueSuite(kind);
