import type { GivenArgs, MethodArgs, MethodName, ReplyOf } from "../../../lib/amqp/method_args.ts";
import { isReply } from "../../../lib/amqp/method_codec.ts";
import type { BasicProperties } from "../../../lib/amqp/properties.ts";
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";
import { DEADLINE } from "../../support/helpers.ts";
import type { Delivered, Peer, Received } from "./peer.ts";

const utf8 = new TextEncoder();

/** One channel of a peer; none of the calls checks whether it is open. */
export class PeerChannel {
  readonly peer: Peer;
  readonly number: number;
  open = false;
  /** How many messages were published since confirms were selected, and whether they were. */
  #confirms = false;
  #published = 0;
  #settled = new Set<number>();

  constructor(peer: Peer, number: number) {
    this.peer = peer;
    this.number = number;
  }

  /** Sends a method, and waits for nothing. */
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
    const reply = await this.#next((other) => isReply(name, other as MethodName), `the reply to ${name}`);
    reply.hidden = hidden;
    if (name === "confirm.select") this.#confirms = true;
    return reply.args as MethodArgs<ReplyOf<Name>>;
  }

  /** Declares a queue, and gives its name. */
  async queue(queue = "", args: FieldTable = {}, flags: GivenArgs<"queue.declare"> = {}): Promise<string> {
    return (await this.call("queue.declare", { queue, arguments: args, ...flags })).queue;
  }

  /** Declares an exchange, and gives its name. */
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

  /** Consumes, and gives the consumer's tag. */
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
   * Sends a method that is to be refused, and waits until the channel or the connection is closed for it.
   *
   * @param code the reply code
   * @throws {Error} it is not refused, or with another code
   */
  async refused<Name extends MethodName>(
    code: number,
    name: Name,
    args: GivenArgs<Name> = {},
  ): Promise<void> {
    this.send(name, args);
    await this.closed(code, (other) => isReply(name, other as MethodName));
  }

  /** Waits until the channel or the connection is closed with a reply code. */
  async closed(code: number, orElse: (name: string) => boolean = () => false): Promise<void> {
    const one = await this.#next(
      (name) => /\.close$/.test(name) || orElse(name),
      `a close with ${code}`,
      true,
    );
    if (one.args["replyCode"] !== code) {
      throw new Error(`Expected a close with ${code}, and got ${one.name} ${one.args["replyCode"] ?? ""}`);
    }
  }

  /** The next one with this name that nobody took yet; waits for it. */
  async take(name: Received["name"]): Promise<Received> {
    return await this.#next((other) => other === name, name);
  }

  /** The next deliveries. */
  async deliveries(count: number): Promise<Delivered[]> {
    const list: Delivered[] = [];
    while (list.length < count) list.push(asDelivered(await this.take("basic.deliver")));
    return list;
  }

  /** The next delivery. */
  async delivery(): Promise<Delivered> {
    return (await this.deliveries(1))[0]!;
  }

  /** Gets one message; undefined when there is none. */
  async get(queue: string, noAck = true): Promise<Delivered | undefined> {
    this.send("basic.get", { queue, noAck });
    const reply = await this.#next(
      (name) => isReply("basic.get", name as MethodName),
      "the reply to basic.get",
    );
    return reply.name === "basic.get-ok" ? asDelivered(reply) : undefined;
  }

  /** Gets one message with acknowledgement, once there is one; the empty answers before it are not told. */
  async got(queue: string): Promise<Delivered> {
    const end = performance.now() + DEADLINE;
    for (let pause = 0;; pause = Math.min(20, pause + 2)) {
      const one = await this.get(queue, false);
      if (one !== undefined) return one;
      this.peer.received.findLast(({ name }) => name === "basic.get-empty")!.hidden = true;
      if (performance.now() > end) throw new Error(`Waited ${DEADLINE} ms for a message in ${queue}`);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Gets until there is nothing left, and acknowledges at once. */
  async drain(queue: string): Promise<Delivered[]> {
    const list: Delivered[] = [];
    for (let one; (one = await this.get(queue)) !== undefined;) list.push(one);
    return list;
  }

  /** Publishes, and waits for nothing. */
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

  /** Publishes on a channel with confirms, and waits for this one and those before it. */
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

  /** Waits until everything is confirmed, or refused. */
  async confirmed(): Promise<void> {
    const what = () => `${this.#published} confirms (${this.#settled.size} came)`;
    await this.peer.until(() => this.#settled.size >= this.#published || this.peer.over, what());
    if (this.#settled.size < this.#published) throw new Error("The connection ended before the confirms");
  }

  /** Waits until a queue has so many messages that are ready. */
  async ready(queue: string, count: number): Promise<void> {
    await this.#poll(queue, "messageCount", count);
  }

  /** Waits until a queue has so many consumers. */
  async consumers(queue: string, count: number): Promise<void> {
    await this.#poll(queue, "consumerCount", count);
  }

  /** Whether a queue or an exchange is there, locked ones too; asked on a channel of its own, for a no closes it. */
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

  /** Waits until a queue or an exchange is gone. */
  async gone(kind: "queue" | "exchange", name: string): Promise<void> {
    const end = performance.now() + DEADLINE;
    for (let pause = 0; await this.knows(kind, name); pause = Math.min(20, pause + 2)) {
      if (performance.now() > end) throw new Error(`Waited ${DEADLINE} ms for the ${kind} ${name} to go`);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /**
   * Waits until all that a queue and this channel had to say by now was said: the queue answers behind what it has
   * sent to the channel, and the channel the next time behind what it got from the queue. RabbitMQ's queues let this
   * question overtake what clients sent before it, though not for long.
   */
  async barrier(queue: string): Promise<void> {
    for (let round = 0; round < 3; round++) {
      await this.call("queue.declare", { queue, passive: true }, true);
    }
  }

  /** What a queue says of itself, behind a barrier. */
  async count(queue: string): Promise<void> {
    await this.barrier(queue);
    await this.call("queue.declare", { queue, passive: true });
  }

  async close(): Promise<void> {
    await this.call("channel.close", { replyCode: 200 }, true);
  }

  /** Waits until an open channel has said what it had to say. */
  async settle(): Promise<void> {
    for (let round = 0; round < 2 && this.open; round++) {
      await this.call("exchange.declare", { exchange: "amq.direct", passive: true }, true);
    }
  }

  /** Forgets what belonged to the channel that was closed. */
  onClosed(): void {
    this.open = false;
    this.#confirms = false;
    this.#published = 0;
    this.#settled = new Set();
  }

  /** Splits confirms into one for each message: how many go into one is up to the server. */
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
    if (found === undefined) throw new Error(`The connection is over, without ${what}`);
    found.taken = true;
    if (isClose(found) && !closeIsFine && !matches(found.name)) {
      throw new Error(`Expected ${what}, and got ${found.name} ${found.args["replyText"] ?? ""}`);
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
