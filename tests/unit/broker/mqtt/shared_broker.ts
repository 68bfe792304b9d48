/** A broker that the tests of one file share, and its MQTT clients. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Broker } from "../../../../lib/broker/server.ts";
import type { ProtocolVersion } from "../../../../lib/mqtt/packet_type.ts";
import { waitFor } from "../../../support/helpers.ts";
import { MqttPeer } from "../../../support/mqtt_peer.ts";

/** The properties of a session without an end. */
export const FOREVER = { sessionExpiryInterval: 0xffff_ffff };

export interface SharedBroker {
  readonly broker: Broker;
  /** Returns a name that no other test of the file uses. */
  fresh(): string;
  /** Connects without a CONNECT. */
  dial(version?: ProtocolVersion): Promise<MqttPeer>;
  /** Connects and logs in; by default with a new name. */
  open(clientId?: string, options?: Parameters<typeof MqttPeer.open>[2]): Promise<MqttPeer>;
  /** Waits until the connection of a client has ended. */
  gone(clientId: string): Promise<void>;
  /** A subscriber of one topic with a connection of its own. */
  listener(topic: string, qos?: number): Promise<MqttPeer>;
  /** Sends a PUBLISH as a marker and checks that it is the next message. */
  nothingElse(peer: MqttPeer, topic: string): Promise<void>;
}

/** Opens a broker before the tests of the file, and closes it after them. */
export function sharedBroker(): SharedBroker {
  let broker: Broker;
  let url: string;
  let names = 0;
  before(async () => {
    broker = await Broker.open({ sessionLimit: 20, retainedLimit: 50, maxMessageSize: 100_000 });
    url = await broker.listen("mqtt://127.0.0.1:0");
  });
  after(() => broker.close());

  const fresh = () => `n${++names}`;
  const open: SharedBroker["open"] = (clientId = fresh(), options = {}) =>
    MqttPeer.open(url, clientId, options);
  return {
    get broker() {
      return broker;
    },
    fresh,
    dial: (version) => MqttPeer.dial(url, version),
    open,
    async gone(clientId) {
      await waitFor(() =>
        ![...broker.connections].some((one) => one.clientProperties["client_id"] === clientId)
      );
    },
    async listener(topic, qos = 0) {
      const peer = await open();
      await peer.subscribe(topic, qos);
      return peer;
    },
    async nothingElse(peer, topic) {
      const other = await open();
      other.publish(topic, "marker");
      assert.equal(await peer.message(), `${topic} marker 0`);
      await other.disconnect();
    },
  };
}
