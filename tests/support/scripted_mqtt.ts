/** An MQTT server on loopback that answers each packet as a script says. */
import net from "node:net";
import { MqttError } from "../../lib/mqtt/mqtt_error.ts";
import { PacketDecoder } from "../../lib/mqtt/packet_decoder.ts";
import {
  CONNACK,
  CONNECT,
  DISCONNECT,
  PINGREQ,
  PINGRESP,
  type ProtocolVersion,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../lib/mqtt/packet_type.ts";
import type { Connack } from "../../lib/mqtt/packets.ts";
import { encodePackets, type Packet, type Publish, readPacket } from "./mqtt_packets.ts";

/** One connection of a scripted server. */
export interface MqttServed {
  readonly socket: net.Socket;
  /** The number of the connection, from 0. */
  readonly number: number;
  version: ProtocolVersion;
  /** The packets that arrived. */
  readonly packets: Packet[];
  send(...packets: Packet[]): void;
  /** Sends a PUBLISH. */
  publish(topic: string, payload: string, options?: Partial<Publish>): void;
}

/** How a server answers. */
export interface MqttScript {
  /** Changes the CONNACK; null sends none and closes the connection. */
  readonly connack?: (served: MqttServed, packet: Packet) => Partial<Connack> | null;
  /** Called for each packet. @returns true if it has answered, false for the default answer */
  readonly on?: (served: MqttServed, packet: Packet) => boolean;
}

/** An acknowledgement as a packet. */
export function ackOf(
  type: typeof PUBACK | typeof PUBREC | typeof PUBREL | typeof PUBCOMP,
  packetId: number,
  reasonCode = 0,
  reasonString?: string,
): Packet {
  return {
    type,
    value: { packetId, reasonCode, properties: reasonString === undefined ? {} : { reasonString } },
  };
}

/** Runs `work` with the URL of a scripted server, and the connections that it accepted so far. */
export async function serveMqtt(
  script: MqttScript,
  work: (url: string, connections: readonly MqttServed[]) => Promise<void>,
): Promise<void> {
  const connections: MqttServed[] = [];
  const server = net.createServer((socket) => {
    const served: MqttServed = {
      socket,
      number: connections.length,
      version: 5,
      packets: [],
      send(...packets) {
        if (!socket.destroyed) socket.write(encodePackets(served.version, packets));
      },
      publish(topic, text, options = {}) {
        const payload = new TextEncoder().encode(text);
        const value = { topic, payload, qos: 0, dup: false, retain: false, packetId: 0, properties: {} };
        served.send({ type: PUBLISH, value: { ...value, ...options } });
      },
    };
    connections.push(served);
    const decoder: PacketDecoder = new PacketDecoder({
      onPacket(type, flags, bytes, start, end) {
        const packet = readPacket(type, flags, bytes, start, end, served.version);
        served.packets.push(packet);
        if (packet.type === CONNECT) served.version = decoder.version = packet.value.version;
        if (script.on?.(served, packet) !== true) answer(script, served, packet);
      },
    });
    socket.on("data", (chunk) => {
      try {
        decoder.push(chunk as Uint8Array);
      } catch (error) {
        if (!(error instanceof MqttError)) throw error;
        socket.destroy();
      }
    });
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`mqtt://127.0.0.1:${(server.address() as net.AddressInfo).port}`, connections);
  } finally {
    for (const { socket } of connections) socket.destroy();
    server.close();
  }
}

/** The answer of a server that accepts everything. */
function answer(script: MqttScript, served: MqttServed, packet: Packet): void {
  switch (packet.type) {
    case CONNECT: {
      const connack = script.connack?.(served, packet);
      if (connack === null) return void served.socket.end();
      const value = { sessionPresent: false, code: 0, properties: {}, ...connack };
      return served.send({ type: CONNACK, value });
    }
    case PUBLISH: {
      const { qos, packetId } = packet.value;
      if (qos === 1) served.send(ackOf(PUBACK, packetId));
      else if (qos === 2) served.send(ackOf(PUBREC, packetId));
      return;
    }
    case PUBREC:
      return served.send(ackOf(PUBREL, packet.value.packetId));
    case PUBREL:
      return served.send(ackOf(PUBCOMP, packet.value.packetId));
    case SUBSCRIBE: {
      const { packetId, requests } = packet.value;
      const codes = requests.map(({ qos }) => qos);
      return served.send({ type: SUBACK, value: { packetId, properties: {}, codes } });
    }
    case UNSUBSCRIBE: {
      const { packetId, filters } = packet.value;
      return served.send({
        type: UNSUBACK,
        value: { packetId, properties: {}, codes: filters.map(() => 0) },
      });
    }
    case PINGREQ:
      return served.send({ type: PINGRESP, value: null });
    case DISCONNECT:
      return void served.socket.end();
  }
}

/** The messages that arrived on a connection: `topic payload qos`, with `dup` and `retain` if they are set. */
export function published({ packets }: MqttServed): string[] {
  return packets.flatMap((packet) => {
    if (packet.type !== PUBLISH) return [];
    const { topic, payload, qos, dup, retain } = packet.value;
    return [
      `${topic} ${new TextDecoder().decode(payload)} ${qos}${dup ? " dup" : ""}${retain ? " retain" : ""}`,
    ];
  });
}

/** The contents of the packets of a type that arrived on a connection. */
export function packetsOf<Type extends Packet["type"]>({ packets }: MqttServed, type: Type): ValueOf<Type>[] {
  return packets.filter((packet) => packet.type === type).map((packet) => packet.value) as ValueOf<Type>[];
}

/** The content of the packet of one type. */
type ValueOf<Type extends number, Any = Packet> = Any extends
  { readonly type: infer Types; readonly value: infer Value } ? Type extends Types ? Value : never
  : never;
