import { httpUrls } from "../../../lib/amqp/client/near_leader.ts";
import type { Session } from "../../app/session.ts";
import { type BrokerValues, targetOf, withConnection } from "../target.ts";
import { amqpSampler, httpSampler } from "./sample.ts";
import { Top, type TopOptions } from "./top.ts";

/** Shows the queues of a broker: our own over AMQP, others, and all if the HTTP API is given, through that. */
export async function watch(session: Session, values: BrokerValues, options: TopOptions): Promise<void> {
  const target = targetOf(session, values);
  const { brokers, link } = target;
  if (link.http === undefined) {
    let isOurs = false;
    await withConnection(target, async (connection) => {
      isOurs = connection.peeks;
      if (isOurs) await new Top(session, amqpSampler(connection), options).run();
    });
    if (isOurs) return;
  }
  await new Top(session, httpSampler(httpUrls(brokers, link), brokers[0]!), options).run();
}
