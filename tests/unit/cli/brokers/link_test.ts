import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startWithin } from "../../../../cli/brokers/link.ts";
import { UnreachableError } from "../../../../lib/errors.ts";
import { parseEndpoint } from "../../../../lib/transport/endpoint.ts";
import { deadline } from "../../../support/helpers.ts";

describe("connections of commands", () => {
  it("a missing broker of this machine - the error names the command that starts one, if there is one", async () => {
    const start = async (where: string) => {
      const brokers = [{ endpoint: parseEndpoint("tcp://127.0.0.1:1") }];
      const target = { where, brokers, abort: () => assert.fail(), delay: () => "" };
      const started = startWithin(target, undefined, Promise.reject(new UnreachableError("refused")));
      const error: unknown = await deadline(started.catch((error) => error), 10_000);
      assert.ok(error instanceof UnreachableError, `${error}`);
      return error.message;
    };
    for (const system of ["amqp", "mqtt", "stomp"]) {
      const hint = `(mqcat queue serve ${system}://127.0.0.1:1 starts a broker there)`;
      assert.equal(await start(`${system}://127.0.0.1:1`), `refused ${hint}`);
    }
    assert.equal(await start("rabbitmq-stream://127.0.0.1:1"), "refused");
  });
});
