/** The arguments of a queue, as the options of `queue declare` name them. */
import type { FieldTable, FieldValue } from "../../lib/amqp/types/field_value.ts";
import { UsageError } from "../app/errors.ts";

/** The type of a queue. */
type QueueType = "classic" | "quorum" | "stream";

/** The values of the options; times are in milliseconds, sizes in bytes. */
export interface QueueValues {
  readonly type: QueueType | undefined;
  readonly quorum: boolean | undefined;
  readonly stream: boolean | undefined;
  readonly argument: readonly (readonly [name: string, value: string | number | boolean])[];
  readonly maxBytes: number | undefined;
  readonly members: number | undefined;
  readonly deliveryLimit: number | undefined;
  readonly maxAge: number | undefined;
  readonly segmentSize: number | undefined;
}

/** An option that is for some types of queues. */
interface Limit {
  readonly key: Exclude<keyof QueueValues, "type" | "quorum" | "stream" | "argument">;
  readonly flag: string;
  /** The name of the argument for each type that has it. */
  readonly names: Readonly<Partial<Record<QueueType, string>>>;
  /** Default: the number itself */
  readonly encode?: (value: number) => string;
}

const LIMITS: readonly Limit[] = [
  {
    key: "maxBytes",
    flag: "--max-length-bytes",
    names: { classic: "x-max-length-bytes", quorum: "x-max-length-bytes", stream: "x-max-length-bytes" },
  },
  {
    key: "members",
    flag: "--members",
    names: { quorum: "x-quorum-initial-group-size", stream: "x-initial-cluster-size" },
  },
  { key: "deliveryLimit", flag: "--delivery-limit", names: { quorum: "x-delivery-limit" } },
  {
    key: "maxAge",
    flag: "--max-age",
    names: { stream: "x-max-age" },
    encode: (ms) => `${Math.max(1, Math.round(ms / 1000))}s`,
  },
  { key: "segmentSize", flag: "--segment-size", names: { stream: "x-stream-max-segment-size-bytes" } },
];

/** @throws {UsageError} the options contradict each other, or one is not for this type of queue */
export function argumentsOf(values: QueueValues): FieldTable {
  const args: FieldTable = Object.fromEntries(values.argument);
  const type = typeOf(values, args);
  if (type !== undefined) args["x-queue-type"] = type;
  for (const { key, flag, names, encode } of LIMITS) {
    const value = values[key];
    if (value === undefined) continue;
    // The default type of a broker is not known; only `x-max-length-bytes` has the same name for all types.
    const name = names[type as QueueType ?? "classic"];
    if (name === undefined) {
      const types = Object.keys(names).map((name) => `--${name}`).join(" or ");
      throw new UsageError(`${flag} needs ${types}`);
    }
    if (args[name] !== undefined) {
      throw new UsageError(`${flag} and -a ${name}=… are the same: give only one`);
    }
    args[name] = encode === undefined ? value : encode(value);
  }
  return args;
}

/** The type that the options name; undefined for the broker's default. */
function typeOf({ type, quorum, stream }: QueueValues, args: FieldTable): FieldValue | undefined {
  const types = new Set<FieldValue>([
    ...(type === undefined ? [] : [type]),
    ...(quorum ? ["quorum"] : []),
    ...(stream ? ["stream"] : []),
    ...(args["x-queue-type"] === undefined ? [] : [args["x-queue-type"]]),
  ]);
  if (types.size > 1) throw new UsageError(`a queue has one type: received ${[...types].join(" and ")}`);
  return [...types][0];
}
