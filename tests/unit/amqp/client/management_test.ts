/** What the answers of the HTTP API mean. */
import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { askFirst } from "../../../../lib/amqp/client/http_api.ts";
import {
  addDefinitions,
  deliveryLimitOf,
  listAllQueues,
  listExchanges,
  listNodes,
  listQueues,
  managementUrl,
  type QueueInfo,
  queueInfo,
  readDefinitions,
} from "../../../../lib/amqp/client/management.ts";
import { type BrokerAddress, parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { RefusedError, UnreachableError } from "../../../../lib/errors.ts";

const [broker] = parseAmqpUrl("amqp://ann:secret@localhost");

/** A request as the server saw it. */
interface Asked {
  readonly url: string;
  readonly method: string;
  readonly login: string;
  readonly type: string | undefined;
  readonly body: string;
}

/** Runs `work` with the URL of a server that answers with this status and text. @returns what it was asked */
async function serve(
  status: number,
  text: string,
  work: (url: string) => Promise<unknown>,
  headers: Record<string, string> = {},
): Promise<Asked[]> {
  const asked: Asked[] = [];
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { url = "", method = "", headers: { authorization = "", "content-type": type } } = request;
    const login = new TextDecoder().decode(
      Uint8Array.from(atob(authorization.replace("Basic ", "")), (c) => c.charCodeAt(0)),
    );
    asked.push({ url, method, login, type, body });
    response.writeHead(status, headers).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
  return asked;
}

/** Asks a server that answers with this status and text. */
async function ask(status: number, text: string, path = "overview"): Promise<unknown> {
  let answer: unknown;
  await serve(status, text, async (url) => answer = await askFirst([url], broker!, path, 5000));
  return answer;
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

  it("answers - the reason of the broker, a refused user with the tag that is needed, and an empty one", async () => {
    assert.equal(await ask(204, ""), undefined);
    const failed = (status: number, text: string): Promise<string> =>
      ask(status, text).then(String, ({ message }) => message);
    assert.match(
      await failed(400, '{"error":"bad","reason":"no vhost"}'),
      / \(status 400: no vhost\): check/,
    );
    assert.match(await failed(400, '{"reason":7}'), / \(status 400\): check/);
    assert.match(
      await failed(503, "busy"),
      /^The HTTP API failed at .* \(status 503\): if the node is still starting,/,
    );
    await assert.rejects(ask(401, "{}"), /the user may need the tag 'management'\)$/);
    await assert.rejects(ask(401, "{}", "nodes?columns=x"), /the user may need the tag 'monitoring'\)$/);
    await assert.rejects(ask(404, "{}", "queues/%2F"), /found no virtual host '\/'$/);
  });

  it("answers - a character that arrives in several parts is whole", async () => {
    const { fetch } = globalThis;
    const bytes = new TextEncoder().encode('{"a":"é€😀"}');
    globalThis.fetch = () =>
      Promise.resolve(
        new Response(
          new ReadableStream({
            start(controller) {
              for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
              controller.close();
            },
          }),
        ),
      );
    try {
      assert.deepEqual(await askFirst(["http://localhost:1"], broker!, "overview"), { a: "é€😀" });
    } finally {
      globalThis.fetch = fetch;
    }
  });

  it("answers - a redirect is not followed, and no answer in time is a failure", async () => {
    const redirect = { location: "http://127.0.0.1:1/" };
    await serve(302, "", async (url) => {
      await assert.rejects(askFirst([url], broker!, "overview", 5000), { code: "ERR_HTTP_API" });
    }, redirect);
    const server = http.createServer(() => {}); // Never answers.
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      await assert.rejects(askFirst([url], broker!, "overview", 50), / \(no answer within 0\.05 s\): check/);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it("answers - the first host that answers is believed, also with a refusal", async () => {
    const asked = await serve(200, '{"a":1}', async (url) => {
      assert.deepEqual(await askFirst(["http://127.0.0.1:1", url, "http://127.0.0.1:2"], broker!, "x"), {
        a: 1,
      });
    });
    assert.equal(asked.length, 1);
    await serve(
      401,
      "",
      (url) => assert.rejects(askFirst([url, "http://127.0.0.1:1"], broker!, "x"), { code: "ERR_AUTH" }),
    );
  });

  it("requests - path, method, type, and the login of the URL before that of the broker", async () => {
    const [shop] = parseAmqpUrl("amqp://änn:s%3Acret@localhost/a%2Fb");
    const definitions = { queues: [] };
    const seen = await serve(200, "[]", async (url) => {
      const bases = [`${url}/base//`];
      await listQueues(bases, shop!);
      await listExchanges(bases, shop!);
      await listNodes(bases, shop!);
      await listAllQueues(bases, shop!);
      await queueInfo([url.replace("//", "//bob:p%20w@")], shop!, "q/1");
      await readDefinitions([url.replace("//", "//b%25b%zz@")], shop!);
      await addDefinitions([url], shop!, definitions);
    });
    const own = "änn:s:cret";
    const get = { method: "GET", type: undefined, body: "" };
    assert.deepEqual(seen, [
      { url: "/base/api/queues/a%2Fb", login: own, ...get },
      { url: "/base/api/exchanges/a%2Fb", login: own, ...get },
      {
        url: "/base/api/nodes?columns=name,running,partitions,mem_alarm,disk_free_alarm",
        login: own,
        ...get,
      },
      { url: "/base/api/queues?columns=name,vhost,type,state,node,members,online", login: own, ...get },
      { url: "/api/queues/a%2Fb/q%2F1", login: "bob:p w", ...get },
      { url: "/api/definitions/a%2Fb", login: "b%25b%zz:", ...get },
      {
        url: "/api/definitions/a%2Fb",
        login: own,
        method: "POST",
        type: "application/json",
        body: JSON.stringify(definitions),
      },
    ]);
  });

  it("requests - an answer that is not a list does not come from the API of a broker", async () => {
    await serve(200, "{}", async (url) => {
      await assert.rejects(listQueues([`${url}/`, "http://u:p@b:1/c/"], broker!), {
        code: "ERR_HTTP_API",
        message: `${url},http://b:1/c is not the HTTP API of a broker`,
      });
    });
  });

  it("URL - that of RabbitMQ's port on the host of the broker", () => {
    const url = (text: string) => managementUrl(parseAmqpUrl(text)[0]!);
    assert.deepEqual([url("amqp://a:1"), url("amqps://b:2"), url("amqp://[::1]")], [
      "http://a:15672",
      "https://b:15671",
      "http://[::1]:15672",
    ]);
    const inproc: BrokerAddress = { ...broker!, endpoint: { scheme: "inproc", name: "x" } };
    assert.throws(() => managementUrl(inproc), {
      code: "ERR_HTTP_API",
      message: "Cannot use the HTTP API as a broker in this process has none",
    });
  });

  it("delivery limit - the smaller one of the queue and its policies; RabbitMQ 4 reports the one that applies", () => {
    const limit = (info: object) => deliveryLimitOf(info as QueueInfo);
    const argument = { arguments: { "x-delivery-limit": 5 } };
    const policy = (limit: unknown) => ({ effective_policy_definition: { "delivery-limit": limit } });
    assert.deepEqual(
      [
        {},
        argument,
        policy(3),
        { ...argument, ...policy(3) },
        { ...argument, ...policy(7) },
        { delivery_limit: 20, ...argument },
        { delivery_limit: -1 },
        { delivery_limit: 0 },
        policy("3"),
      ].map(limit),
      [undefined, 5, 3, 3, 5, 20, undefined, 0, undefined],
    );
  });
});
