import { BINDINGS } from "./bindings.ts";
import { CONNECTIONS } from "./connections.ts";
import { DEFINITIONS } from "./definitions.ts";
import { EXCHANGES } from "./exchanges.ts";
import { HEALTH } from "./health.ts";
import { MESSAGES } from "./messages.ts";
import { METRICS } from "./metrics.ts";
import { MISSING } from "./missing.ts";
import { OVERVIEW } from "./overview.ts";
import { QUEUES } from "./queues.ts";
import { Routing } from "./routing.ts";
import { USERS } from "./users.ts";
import { VHOSTS } from "./vhosts.ts";

/** Everything that can be asked for. */
export const API: Routing = new Routing(
  OVERVIEW,
  QUEUES,
  EXCHANGES,
  BINDINGS,
  MESSAGES,
  CONNECTIONS,
  VHOSTS,
  USERS,
  DEFINITIONS,
  HEALTH,
  METRICS,
  MISSING,
);
