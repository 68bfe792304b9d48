/** What the answers of the HTTP API mean. */
import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { askFirst } from "../../../../lib/amqp/client/http_api.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { RefusedError, UnreachableError } from "../../../../lib/errors.ts";

const [broker] = parseAmqpUrl("amqp://ann:secret@localhost");

/** Asks a server that answers with this status and text. */
async function ask(status: number, text: string, path = "overview"): Promise<unknown> {
  const server = http.createServer((_request, response) => response.writeHead(status).end(text));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await askFirst(
      [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
      broker!,
      path,
      5000,
    );
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

const says = (kind: new (...args: never[]) => Error, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof kind, `${error}`);
  assert.match(error.message, words);
  assert.doesNotMatch(error.message, /secret/);
  return true;
};

describe("HTTP API of a broker", () => {
  it("answers - 200 is the value; 401, 404 and others are told apart", async () => {
    assert.deepEqual(await ask(200, '{"a":1}'), { a: 1 });
    await assert.rejects(ask(401, "{}"), says(RefusedError, /refused user 'ann'/));
    await assert.rejects(ask(404, "{}", "queues/%2F/q"), says(RefusedError, /found no such queue/));
    await assert.rejects(ask(404, "{}", "queues/shop"), says(RefusedError, /found no virtual host/));
    await assert.rejects(ask(402, "{}"), says(UnreachableError, /status 402/));
    await assert.rejects(ask(500, "{}"), says(UnreachableError, /status 500/));
    await assert.rejects(ask(200, "<html>"), says(UnreachableError, /is not the HTTP API/));
  });
});
