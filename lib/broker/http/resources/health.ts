import { encodeMessage } from "../../core/message.ts";
import type { Json } from "../../core/definitions/table.ts";
import { badRequest } from "../errors.ts";
import { HTTP_QUEUE_OWNER } from "../queue_owner.ts";
import { type ApiRequest, Reply } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import { listenersOf } from "../views.ts";

/** Health checks (https://www.rabbitmq.com/monitoring.html#health-checks): 200 if healthy, otherwise 503. */
export const HEALTH: Handlers = {
  "GET /api/health/checks/alarms": alarms,
  "GET /api/health/checks/local-alarms": alarms,
  "GET /api/health/checks/virtual-hosts": () => ({ status: "ok" }),
  "GET /api/health/checks/node-is-quorum-critical": () => ({ status: "ok" }),
  "GET /api/health/checks/node-is-mirror-sync-critical": () => ({ status: "ok" }),
  "GET /api/health/checks/certificate-expiration/:within/:unit": certificateExpiration,
  "GET /api/health/checks/port-listener/:port": portListener,
  "GET /api/health/checks/protocol-listener/:protocol": protocolListener,
  "GET /api/healthchecks/node": alarms,
  "GET /api/aliveness-test/:vhost": aliveness,
};

/** The name that the user needs permissions for, as in RabbitMQ. */
const QUEUE = "aliveness-test";

function alarms({ core: { blocked } }: ApiRequest): Json | Reply {
  return blocked === undefined ? { status: "ok" } : failed(blocked);
}

function certificateExpiration(request: ApiRequest): Json {
  if (!/^-?\d+$/.test(request.param("within"))) throw badRequest("Invalid expiration value.");
  if (!/^(day|week|month|year)s$/.test(request.param("unit"))) {
    throw badRequest("Time unit not recognised. Supported units: days, weeks, months, years.");
  }
  return { status: "ok" };
}

function portListener(request: ApiRequest): Json | Reply {
  if (!/^-?\d+$/.test(request.param("port"))) throw badRequest("Invalid port");
  const port = Number(request.param("port"));
  if (listenersOf(request.broker).some((one) => one["port"] === port)) return { status: "ok", port };
  return failed("No active listener");
}

function protocolListener(request: ApiRequest): Json | Reply {
  const protocol = request.param("protocol");
  // The protocol can be named with its version.
  const wanted = protocol.replace(/^amqp091$|^amqp0-9-1$/, "amqp");
  const known = wanted === "http" || listenersOf(request.broker).some((one) => one["protocol"] === wanted);
  return known ? { status: "ok", protocol } : failed("No active listener");
}

/**
 * Publishes a message to a temporary queue and fetches it. RabbitMQ keeps its test queue; this leaves nothing, because a
 * GET must be safe, and takes no message of a queue that a user named `aliveness-test`.
 */
function aliveness(request: ApiRequest): Json | Reply {
  const access = request.access();
  access.check("configure", "queue", QUEUE);
  access.check("write", "exchange", "");
  access.check("read", "queue", QUEUE);
  const vhost = request.vhost();
  if (request.core.blocked !== undefined) return failed(request.core.blocked);
  const name = `amq.gen-${QUEUE}-${crypto.randomUUID()}`;
  return request.change(() => {
    const queue = vhost.declareQueue(
      { queue: "", passive: false, durable: false, exclusive: false, autoDelete: false, arguments: {} },
      HTTP_QUEUE_OWNER,
      name,
    );
    try {
      const address = { exchange: "", routingKey: name };
      const message = encodeMessage(address, {}, new TextEncoder().encode("test_message"));
      request.core.intake.publishInternally(vhost, "", name, message);
      if (!queue.take()) throw badRequest("the test message was not received");
      queue.settle(queue.takenLane, queue.takenSeq);
    } finally {
      vhost.deleteQueue({ queue: name, ifUnused: false, ifEmpty: false }, HTTP_QUEUE_OWNER);
    }
    return { status: "ok" };
  });
}

function failed(reason: string): Reply {
  return new Reply(503, JSON.stringify({ status: "failed", reason }));
}
