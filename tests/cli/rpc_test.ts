/** Runs the tests of rpc/ against each broker. */
import { after, describe } from "node:test";
import { BROKERS } from "../support/brokers.ts";
import { contextOf } from "./rpc/context.ts";
import { replies } from "./rpc/replies.ts";
import { requests } from "./rpc/requests.ts";

for (const kind of BROKERS) {
  describe(`rpc, ${kind.name}`, () => {
    const context = contextOf(kind);
    after(async () => {
      await context.close();
      await kind.stop();
    });
    requests(context);
    replies(context);
  });
}
