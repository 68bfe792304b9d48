/** Recognises a broker by its first method (AMQP 0-9-1, 2.2.4). */
import { FRAME_OVERHEAD, METHOD } from "../amqp/frames/frame.ts";
import { decodeMethod } from "../amqp/method_codec.ts";
import type { FieldTable } from "../amqp/types/field_value.ts";
import type { AmqpService } from "./service.ts";

const HEAD = 7;

/** Parses a broker's answer to our protocol header; "more" while it is incomplete, undefined when it is not AMQP. */
export function readAmqp(heard: Uint8Array): AmqpService | "more" | undefined {
  if (isHeader(heard)) return heard.length < 8 ? "more" : otherVersion(heard);
  if (heard[0] !== METHOD || heard[1] !== 0 || heard[2] !== 0) return undefined;
  if (heard.length < HEAD) return "more";
  const size = new DataView(heard.buffer, heard.byteOffset).getUint32(3);
  if (heard.length < size + FRAME_OVERHEAD) return size > heard.length + 64 * 1024 ? undefined : "more";
  try {
    const method = decodeMethod(heard, HEAD, HEAD + size);
    if (method.name !== "connection.start") return undefined;
    const { versionMajor, versionMinor, serverProperties, mechanisms } = method.args;
    const named = (key: string, name: string) => {
      const value = serverProperties[name];
      return typeof value === "string" ? { [key]: value } : {};
    };
    return {
      protocol: "amqp",
      version: `${versionMajor}-${versionMinor}-1`,
      ...named("product", "product"),
      ...named("productVersion", "version"),
      ...named("platform", "platform"),
      ...named("cluster", "cluster_name"),
      mechanisms: new TextDecoder().decode(mechanisms).split(" ").filter((name) => name !== ""),
      capabilities: trueOnes(serverProperties["capabilities"] as FieldTable | undefined),
    };
  } catch {
    return undefined;
  }
}

function isHeader(heard: Uint8Array): boolean {
  return [..."AMQP"].every((letter, at) => heard[at] === letter.charCodeAt(0));
}

/** A broker that does not speak our version answers with its own protocol header (4.2.2). */
function otherVersion(heard: Uint8Array): AmqpService {
  const [id, major, minor, revision] = heard.subarray(4);
  const version = id === 0 && major === 0 ? `${major}-${minor}-${revision}` : `${major}.${minor}.${revision}`;
  return { protocol: "amqp", version, mechanisms: [], capabilities: [] };
}

function trueOnes(table: FieldTable | undefined): string[] {
  if (typeof table !== "object" || table === null) return [];
  return Object.entries(table).filter(([, value]) => value === true).map(([name]) => name);
}
