import type { GivenArgs, MethodArgs, MethodName } from "../../../lib/amqp/method_args.ts";
import { METHODS, type MethodSpec } from "../../../lib/amqp/methods.ts";
import type { BasicProperties } from "../../../lib/amqp/properties.ts";
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";
import { DEADLINE, waitFor } from "../../support/helpers.ts";
import type { Delivered, Peer, Received } from "./peer.ts";

const utf8 = new TextEncoder();

/** The names of the replies to a method; never for a method without replies. */
type ReplyOf<Name extends MethodName> = typeof METHODS[Name] extends
  { replies: readonly (infer Reply extends MethodName)[] } ? Reply : never;

function isReply(request: MethodName, reply: string): boolean {
  const spec: MethodSpec = METHODS[request];
  return spec.replies?.includes(reply) === true;
}

/** One channel of a peer. The methods do not check whether it is open. */
export class PeerChannel {
  readonly peer: Peer;
  readonly number: number;
  open = false;
  /** The number of messages published in confirm mode, and whether the mode is selected. */
  #confirms = false;
  #published = 0;
  #settled = new Set<number>();

  constructor(peer: Peer, number: number) {
    this.peer = peer;
    this.number = number;
  }

  /** Sends a method without waiting. */
  send<Name extends MethodName>(name: Name, args: GivenArgs<Name> = {}): void {
    this.peer.method(this.number, name, args);
    if (name === "confirm.select") this.#confirms = true;
  }

  /**
   * Sends a method and waits for its reply.
   *
   * @throws {Error} the channel or the connection was closed instead
   */
  async call<Name extends MethodName>(
    name: Name,
    args: GivenArgs<Name> = {},
    hidden = false,
  ): Promise<MethodArgs<ReplyOf<Name>>> {
    this.send(name, args);
    const reply = await this.#next((other) => isReply(name, other), `the reply to ${name}`);
    reply.hidden = hidden;
    if (name === "confirm.select") this.#confirms = true;
    return reply.args as MethodArgs<ReplyOf<Name>>;
  }

  /** Declares a queue. @returns its name */
  async queue(queue = "", args: FieldTable = {}, flags: GivenArgs<"queue.declare"> = {}): Promise<string> {
    return (await this.call("queue.declare", { queue, arguments: args, ...flags })).queue;
  }

  /** Declares an exchange. @returns its name */
  async exchange(
    exchange: string,
    type: string,
    args: FieldTable = {},
    flags: GivenArgs<"exchange.declare"> = {},
  ): Promise<string> {
    await this.call("exchange.declare", { exchange, type, arguments: args, ...flags });
    return exchange;
  }

  /** Binds a queue. */
  async bind(queue: string, exchange: string, routingKey = "", args: FieldTable = {}): Promise<void> {
    await this.call("queue.bind", { queue, exchange, routingKey, arguments: args });
  }

  /** Starts a consumer. @returns its tag */
  async consume(
    queue: string,
    flags: GivenArgs<"basic.consume"> = {},
    args: FieldTable = {},
  ): Promise<string> {
    return (await this.call("basic.consume", { queue, arguments: args, ...flags })).consumerTag;
  }

  ack(deliveryTag: number, multiple = false): void {
    this.send("basic.ack", { deliveryTag, multiple });
  }

  nack(deliveryTag: number, { requeue = false, multiple = false } = {}): void {
    this.send("basic.nack", { deliveryTag, multiple, requeue });
  }

  reject(deliveryTag: number, requeue = false): void {
    this.send("basic.reject", { deliveryTag, requeue });
  }

  /**
   * Sends a method that must be refused, and waits until the channel or the connection is closed.
   *
   * @param code the reply code
   * @throws {Error} the method is accepted, or refused with another code
   */
  async refused<Name extends MethodName>(
    code: number,
    name: Name,
    args: GivenArgs<Name> = {},
  ): Promise<void> {
    this.send(name, args);
    await this.closed(code, (other) => isReply(name, other));
  }

  /** Waits until the channel or the connection is closed with a reply code. */
  async closed(code: number, orElse: (name: string) => boolean = () => false): Promise<void> {
    const one = await this.#next(
      (name) => /\.close$/.test(name) || orElse(name),
      `a close with ${code}`,
      true,
    );
    if (one.args["replyCode"] !== code) {
      throw new Error(`Expected a close with ${code}: received ${one.name} ${one.args["replyCode"] ?? ""}`);
    }
  }

  /** Waits for the next unconsumed event with this name. */
  async take(name: Received["name"]): Promise<Received> {
    return await this.#next((other) => other === name, name);
  }

  /** Waits for the next deliveries. */
  async deliveries(count: number): Promise<Delivered[]> {
    const list: Delivered[] = [];
    while (list.length < count) list.push(asDelivered(await this.take("basic.deliver")));
    return list;
  }

  /** Waits for the next delivery. */
  async delivery(): Promise<Delivered> {
    return (await this.deliveries(1))[0]!;
  }

  /** Fetches one message; undefined if the queue is empty. */
  async get(queue: string, noAck = true): Promise<Delivered | undefined> {
    this.send("basic.get", { queue, noAck });
    const reply = await this.#next(
      (name) => isReply("basic.get", name),
      "the reply to basic.get",
    );
    return reply.name === "basic.get-ok" ? asDelivered(reply) : undefined;
  }

  /** Waits for one message and fetches it with acknowledgement. The transcript excludes the empty replies before it. */
  async got(queue: string): Promise<Delivered> {
    const found = async () => {
      const one = await this.get(queue, false);
      if (one === undefined) {
        this.peer.received.findLast(({ name }) => name === "basic.get-empty")!.hidden = true;
      }
      return one;
    };
    return (await waitFor(found, DEADLINE, `a message in ${queue}`))!;
  }

  /** Fetches messages without acknowledgement until the queue is empty. */
  async drain(queue: string): Promise<Delivered[]> {
    const list: Delivered[] = [];
    for (let one; (one = await this.get(queue)) !== undefined;) list.push(one);
    return list;
  }

  /** Publishes without waiting. */
  publish(
    exchange: string,
    routingKey: string,
    body: string | Uint8Array = "",
    properties: BasicProperties = {},
    mandatory = false,
  ): void {
    const bytes = typeof body === "string" ? utf8.encode(body) : body;
    this.peer.publish(this.number, exchange, routingKey, properties, bytes, mandatory);
    if (this.#confirms) this.#published++;
  }

  /** Publishes in confirm mode, and waits until this message and those before it are confirmed. */
  async put(
    exchange: string,
    routingKey: string,
    body: string | Uint8Array = "",
    properties: BasicProperties = {},
    mandatory = false,
  ): Promise<void> {
    this.publish(exchange, routingKey, body, properties, mandatory);
    await this.confirmed();
  }

  /** Waits until all messages are confirmed or refused. */
  async confirmed(): Promise<void> {
    const what = () => `${this.#published} confirms (${this.#settled.size} came)`;
    await this.peer.until(() => this.#settled.size >= this.#published || this.peer.over, what());
    if (this.#settled.size < this.#published) throw new Error("The connection ended before the confirms");
  }

  /** Waits until a queue has the given number of ready messages. */
  async ready(queue: string, count: number): Promise<void> {
    await this.#poll(queue, "messageCount", count);
  }

  /** Waits until a queue has the given number of consumers. */
  async consumers(queue: string, count: number): Promise<void> {
    await this.#poll(queue, "consumerCount", count);
  }

  /** Whether a queue or an exchange exists, even a locked one. It uses another channel, because a refusal closes it. */
  async knows(kind: "queue" | "exchange", name: string): Promise<boolean> {
    const other = this.peer.use(1000 + this.number);
    if (!other.open) await other.call("channel.open", {}, true);
    try {
      await other.call(`${kind}.declare`, { queue: name, exchange: name, passive: true }, true);
      return true;
    } catch {
      const last = this.peer.received.findLast(({ channel }) => channel === other.number)!;
      last.hidden = true;
      return last.args["replyCode"] !== 404;
    }
  }

  /** Waits until a queue or an exchange is deleted. */
  async gone(kind: "queue" | "exchange", name: string): Promise<void> {
    await waitFor(
      async () => !(await this.knows(kind, name)),
      DEADLINE,
      `the deletion of the ${kind} ${name}`,
    );
  }

  /**
   * Waits until the queue and this channel have sent all pending responses. The queue replies after the messages that
   * it has sent to the channel, and the channel replies the next time after those messages. In RabbitMQ this request
   * can overtake earlier ones for a short time, so it is repeated.
   */
  async barrier(queue: string): Promise<void> {
    for (let round = 0; round < 3; round++) {
      await this.call("queue.declare", { queue, passive: true }, true);
    }
  }

  /** Notes the state of a queue after a barrier. */
  async count(queue: string): Promise<void> {
    await this.barrier(queue);
    await this.call("queue.declare", { queue, passive: true });
  }

  async close(): Promise<void> {
    await this.call("channel.close", { replyCode: 200 }, true);
  }

  /** Waits until an open channel has sent all pending responses. */
  async settle(): Promise<void> {
    for (let round = 0; round < 2 && this.open; round++) {
      await this.call("exchange.declare", { exchange: "amq.direct", passive: true }, true);
    }
  }

  /** Clears the state of the closed channel. */
  onClosed(): void {
    this.open = false;
    this.#confirms = false;
    this.#published = 0;
    this.#settled = new Set();
  }

  /** Splits confirms into one for each message, because the server can combine any number. */
  onSettled(name: "basic.ack" | "basic.nack", args: Readonly<Record<string, unknown>>): void {
    const last = args["deliveryTag"] as number;
    for (let tag = args["multiple"] === true ? 1 : last; tag <= last; tag++) {
      if (this.#settled.has(tag)) continue;
      this.#settled.add(tag);
      this.peer.received.push({
        channel: this.number,
        name,
        args: { deliveryTag: tag },
        taken: true,
        hidden: false,
      });
    }
  }

  async #poll(queue: string, field: "messageCount" | "consumerCount", count: number): Promise<void> {
    const end = performance.now() + DEADLINE;
    for (let pause = 0;; pause = Math.min(20, pause + 2)) {
      const found = await this.call("queue.declare", { queue, passive: true }, true);
      if (found[field] === count) return;
      if (performance.now() > end) {
        throw new Error(
          `Waited ${DEADLINE} ms for a ${field} of ${count} at ${queue}: it has ${found[field]}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async #next(matches: (name: string) => boolean, what: string, closeIsFine = false): Promise<Received> {
    let found: Received | undefined;
    const isClose = ({ name, channel }: Received) =>
      name === "connection.close" || name === "end" || name === "junk" ||
      name === "channel.close" && channel === this.number;
    await this.peer.until(() => {
      found = this.peer.received.find((one) =>
        !one.taken && (one.channel === this.number && matches(one.name) || isClose(one))
      );
      return found !== undefined || this.peer.over;
    }, `${what} on channel ${this.number}`);
    if (found === undefined) throw new Error(`The connection ended without ${what}`);
    found.taken = true;
    if (isClose(found) && !closeIsFine && !matches(found.name)) {
      throw new Error(`Expected ${what}: received ${found.name} ${found.args["replyText"] ?? ""}`);
    }
    return found;
  }
}

function asDelivered(one: Received): Delivered {
  return Object.assign(one, {
    deliveryTag: one.args["deliveryTag"] as number,
    text: new TextDecoder().decode(one.body),
  });
}
