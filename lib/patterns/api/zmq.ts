import type { ClientOptions } from "../../link/options.ts";
import type { SocketOptions } from "../../zmq/options.ts";
import { EndpointError } from "../../errors.ts";
import { utf8 } from "../../zmtp/bytes.ts";
import { Pub } from "../../zmq/types/pub.ts";
import { Pull } from "../../zmq/types/pull.ts";
import { Push } from "../../zmq/types/push.ts";
import { Sub } from "../../zmq/types/sub.ts";
import { ZmqInlet } from "../zmq/inlet.ts";
import { ZmqOutlet } from "../zmq/outlet.ts";
import type { SystemPatterns } from "./system.ts";

/** The sockets connect, as the clients of brokers do. Use the socket types directly to bind. */
export const patterns: SystemPatterns = {
  subscribe(address, { topics = [""], ...options }) {
    const socket = new Sub(optionsOf(options));
    for (const topic of topics) socket.subscribe(topic);
    const inlet = new ZmqInlet(socket, options, { topics: topics.map(utf8) });
    socket.connect(address);
    return inlet;
  },
  pull(address, options) {
    const socket = new Pull(optionsOf(options));
    const inlet = new ZmqInlet(socket, options);
    socket.connect(address);
    return inlet;
  },
  publish(address, options) {
    const socket = new Pub({ ...optionsOf(options), onFull: "block" });
    socket.connect(address);
    return { outlet: new ZmqOutlet(socket), route: (topic = "") => ({ exchange: "", routingKey: topic }) };
  },
  push(address, options) {
    const socket = new Push(optionsOf(options));
    socket.connect(address);
    return { outlet: new ZmqOutlet(socket), route: () => ({ exchange: "", routingKey: "" }) };
  },
  request: () => {
    throw new EndpointError("Requests over ZeroMQ have sockets of their own: use Req");
  },
  reply: () => {
    throw new EndpointError("Replies over ZeroMQ have sockets of their own: use Rep");
  },
};

/** The options of a socket, and its events as those of a client. */
function optionsOf(
  { tls, handshakeTimeout, reconnect, maxMessageSize, onEvent }: ClientOptions,
): SocketOptions {
  return {
    tls,
    handshakeTimeout,
    maxMessageSize,
    ...(reconnect === undefined ? {} : { reconnect }),
    onEvent(event) {
      if (event.type === "connected") {
        const server = `${event.socketType}, ZMTP ${event.version}`;
        onEvent?.({ type: "connected", broker: event.endpoint, server });
      } else if (event.type === "disconnected" && event.error !== undefined) {
        onEvent?.({ type: "lost", broker: event.endpoint, error: event.error });
      } else if (event.type === "retrying" && event.error !== undefined) {
        onEvent?.({ type: "retrying", error: event.error, delay: event.delay });
      }
    },
  };
}
