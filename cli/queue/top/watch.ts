import { managementUrl } from "../../../lib/amqp/client/management.ts";
import type { Session } from "../../app/session.ts";
import { type BrokerValues, httpOf, targetOf, withConnection } from "../target.ts";
import { amqpSampler, httpSampler } from "./sample.ts";
import { Top, type TopOptions } from "./top.ts";

/** Shows the queues of a broker: our own over AMQP, others, and all if `http` is given, through the HTTP API. */
export async function watch(
  session: Session,
  values: BrokerValues & { readonly http: string | undefined },
  options: TopOptions,
): Promise<void> {
  const target = targetOf(session, values);
  const { brokers } = target;
  const http = httpOf(values);
  if (http !== undefined) return await new Top(session, httpSampler(http, brokers[0]!), options).run();
  let isOurs = false;
  await withConnection(target, async (connection) => {
    isOurs = connection.peeks;
    if (isOurs) await new Top(session, amqpSampler(connection), options).run();
  });
  if (isOurs) return;
  await new Top(session, httpSampler(brokers.map(managementUrl), brokers[0]!), options).run();
}
