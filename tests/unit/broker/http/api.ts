/** A broker with its HTTP API, requested with fetch: `before(() => api.open())`, `after(() => api.close())`. */
import assert from "node:assert/strict";
import net from "node:net";
import type { AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { HttpServer } from "../../../../lib/broker/http/server.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { deadline } from "../../../support/helpers.ts";

interface Answer {
  readonly status: number;
  readonly json: unknown;
  readonly text: string;
  readonly headers: Headers;
}

export class Api {
  broker!: Broker;
  server!: HttpServer;
  /** The URL for AMQP. */
  amqp!: string;

  async open(): Promise<void> {
    this.broker = await Broker.open();
    this.amqp = await this.broker.listen("amqp://127.0.0.1:0");
    this.server = await HttpServer.listen(this.broker, ":0");
  }

  async close(): Promise<void> {
    await this.server.close();
    await this.broker.close();
  }

  /** Sends a request. @param route the method and the path */
  async ask(
    route: string,
    body?: unknown,
    { login = "guest:guest", headers = {} }: { login?: string; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const [method, path] = route.split(" ") as [string, string];
    const response = await fetch(`${this.server.url}${path}`, {
      method,
      headers: { ...(login === "" ? {} : { authorization: `Basic ${btoa(login)}` }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = text !== "" && response.headers.get("content-type") === "application/json";
    return {
      status: response.status,
      text,
      json: isJson ? JSON.parse(text) : undefined,
      headers: response.headers,
    };
  }

  /** Sends a request that succeeds. @returns the JSON of the answer */
  async ok(route: string, body?: unknown, login?: string): Promise<unknown> {
    const { status, text, json } = await this.ask(route, body, login === undefined ? {} : { login });
    assert.ok(status < 300, `${route}: ${status} ${text}`);
    return json;
  }

  /** Sends a request that is refused with a status and a reason. */
  async refused(
    status: number,
    reason: RegExp,
    route: string,
    body?: unknown,
    login?: string,
  ): Promise<void> {
    const answer = await this.ask(route, body, login === undefined ? {} : { login });
    assert.equal(answer.status, status, `${route}: ${answer.text}`);
    assert.match((answer.json as { reason: string }).reason, reason);
  }

  /** Sends bytes, and resolves to the response when the server has closed the connection. */
  rawAnswer(bytes: string, url: string = this.server.url): Promise<string> {
    const { hostname, port } = new URL(url);
    return deadline(
      new Promise((resolve) => {
        let heard = "";
        const socket = net.connect(Number(port), hostname, () => void socket.write(bytes));
        socket.on("data", (chunk) => heard += String(chunk));
        socket.on("error", () => {});
        socket.on("close", () => resolve(heard));
      }),
      undefined,
      "the server to end the connection",
    );
  }

  /** Connects a client that is closed at the end of the test. */
  async client(
    url = this.amqp.replace("//", "//guest:guest@"),
  ): Promise<AmqpConnection & AsyncDisposable> {
    const connection = await connectBroker(parseAmqpUrl(url));
    return Object.assign(connection, { [Symbol.asyncDispose]: () => connection.close() });
  }
}

export const rows = (json: unknown) => json as Record<string, unknown>[];
export const names = (json: unknown) => rows(json).map(({ name }) => name);
