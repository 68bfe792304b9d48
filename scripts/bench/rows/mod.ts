/** The table of all groups. */
import type { Group } from "../row.ts";
import { broker } from "./broker.ts";
import { echo } from "./echo.ts";
import { fanOut } from "./fan_out.ts";
import { library } from "./library.ts";
import { mqtt } from "./mqtt.ts";
import { pipelines } from "./pipeline.ts";
import { requests } from "./request.ts";
import { start } from "./start.ts";

export const GROUPS: readonly Group[] = [start, requests, library, pipelines, fanOut, echo, broker, mqtt];
