import { BINDINGS } from "./resources/bindings.ts";
import { CONNECTIONS } from "./resources/connections.ts";
import { DEFINITIONS } from "./resources/definitions.ts";
import { EXCHANGES } from "./resources/exchanges.ts";
import { HEALTH } from "./resources/health.ts";
import { LIMITS } from "./resources/limits.ts";
import { MESSAGES } from "./resources/messages.ts";
import { METRICS } from "./metrics/metrics.ts";
import { MOVE } from "./resources/move.ts";
import { MISSING } from "./resources/missing.ts";
import { OVERVIEW } from "./resources/overview.ts";
import { PARAMETERS } from "./resources/parameters.ts";
import { POLICIES } from "./resources/policies.ts";
import { QUEUES } from "./resources/queues.ts";
import { TEST } from "./resources/test.ts";
import { TOPIC_PERMISSIONS } from "./resources/topic_permissions.ts";
import { PathTable } from "./path_table.ts";
import { USERS } from "./resources/users.ts";
import { VHOSTS } from "./resources/vhosts.ts";

/** Everything that can be asked for. */
export const API: PathTable = new PathTable(
  OVERVIEW,
  QUEUES,
  EXCHANGES,
  BINDINGS,
  MESSAGES,
  MOVE,
  CONNECTIONS,
  VHOSTS,
  USERS,
  DEFINITIONS,
  POLICIES,
  LIMITS,
  PARAMETERS,
  TOPIC_PERMISSIONS,
  HEALTH,
  METRICS,
  TEST,
  MISSING,
);
