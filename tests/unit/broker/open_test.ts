/** The broker of the library's public interface. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectAmqp, openBroker } from "../../../mod.ts";

describe("openBroker", () => {
  it("openBroker - await using closes the broker, and its address is free again", async () => {
    let url: string;
    {
      await using broker = await openBroker();
      url = await broker.listen("amqp://127.0.0.1:0");
      await using client = await connectAmqp(url);
      assert.equal((await client.declareQueue("q")).queue, "q");
    }
    await assert.rejects(connectAmqp(url), /nothing is listening there/);
    await using again = await openBroker();
    assert.equal(await again.listen(url), url);
  });

  it("openBroker - shows its methods and nothing of its insides", async () => {
    await using broker = await openBroker();
    assert.deepEqual(Object.keys(broker), ["listen", "listenHttp", "messages", "reset", "faults", "close"]);
  });
});
