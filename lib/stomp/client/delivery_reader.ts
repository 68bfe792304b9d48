import { encodeProperties, NO_PROPERTIES } from "../../amqp/properties.ts";
import { type MessageAddress, parseAddress } from "../../crossing/stomp/destination.ts";
import { isOfMessage, propertiesOfMessage } from "../../crossing/stomp/headers.ts";
import type { Delivery } from "../../link/message.ts";
import type { StompFrame } from "../frame.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Turns MESSAGE frames into deliveries. The object is reused. Address and properties of messages with the same headers
 * are encoded once.
 */
export class DeliveryReader {
  readonly #content: Mutable<Delivery["content"]> = {
    properties: NO_PROPERTIES,
    propertiesEnd: NO_PROPERTIES.length,
    body: NO_PROPERTIES,
    bodyStart: 0,
    bodyEnd: 0,
  };
  readonly #delivery: Mutable<Delivery> = {
    deliveryTag: 0,
    redelivered: false,
    exchange: "",
    routingKey: "",
    content: this.#content,
  };
  #destination = "";
  #address: MessageAddress = { exchange: "", routingKey: "" };
  /** Names and values of the headers that `#content.properties` has, in turns. */
  #headers: string[] = [];
  /** The number of texts of the current frame that are equal to those of `#headers`; -1 after a different one. */
  #same = 0;

  /** @returns the delivery, which is valid until the next call */
  read(frame: StompFrame, tag: number): Delivery {
    const { body, bodyStart, bodyEnd } = frame;
    const destination = frame.get("destination") ?? "";
    if (destination !== this.#destination) {
      this.#destination = destination;
      this.#address = parseAddress(destination);
    }
    this.#same = 0;
    frame.headers.forEach(this.#compare);
    if (this.#same !== this.#headers.length) this.#encode(frame);
    const content = this.#content;
    content.body = body;
    content.bodyStart = bodyStart;
    content.bodyEnd = bodyEnd;
    const delivery = this.#delivery;
    delivery.deliveryTag = tag;
    delivery.redelivered = frame.get("redelivered") === "true";
    delivery.exchange = this.#address.exchange;
    delivery.routingKey = this.#address.routingKey;
    return delivery;
  }

  readonly #compare = (value: string, name: string): void => {
    const at = this.#same;
    if (at < 0 || !isOfMessage(name)) return;
    this.#same = this.#headers[at] === name && this.#headers[at + 1] === value ? at + 2 : -1;
  };

  #encode(frame: StompFrame): void {
    const content = this.#content;
    this.#headers = [];
    for (const [name, value] of frame.headers) {
      if (isOfMessage(name)) this.#headers.push(name, value);
    }
    content.properties = this.#headers.length === 0
      ? NO_PROPERTIES
      : encodeProperties(propertiesOfMessage(frame));
    content.propertiesEnd = content.properties.length;
  }
}
