/** MQTT servers for tests: our broker in this process, and mosquitto. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import { Broker } from "../../lib/broker/server.ts";
import { installed, tempDir, waitFor } from "./helpers.ts";
import { PATIENCE } from "./mqcat.ts";
import { freePort } from "./ports.ts";

/** Whether mosquitto and its clients are installed. */
export const hasMosquitto: boolean = installed("mosquitto") && installed("mosquitto_pub");

/** A running MQTT server. */
export interface MqttServer {
  readonly port: string;
  stop(): Promise<void>;
}

async function ours(): Promise<MqttServer> {
  const broker = await Broker.open();
  const { port } = new URL(await broker.listen("mqtt://127.0.0.1:0"));
  return { port, stop: () => broker.close() };
}

async function mosquitto(): Promise<MqttServer> {
  const dir = tempDir();
  const port = String(await freePort());
  fs.writeFileSync(dir.file("conf"), `listener ${port} 127.0.0.1\nallow_anonymous true\n`);
  const child = spawn("mosquitto", ["-c", dir.file("conf")], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.on("close", resolve));
  await waitFor(
    async () => (await tool("pub", port, "-t", "up", "-m", "")).code === 0,
    PATIENCE,
    "mosquitto",
  );
  return {
    port,
    async stop() {
      child.kill();
      await ended;
      dir.remove();
    },
  };
}

/** The servers by name, which start when they are called. */
export const MQTT_SERVERS: Readonly<Record<string, () => Promise<MqttServer>>> = { mqcat: ours, mosquitto };

/** Runs mosquitto_pub, mosquitto_sub or mosquitto_rr with QoS 1 and MQTT 5.0. */
export async function tool(
  name: "pub" | "sub" | "rr",
  port: string,
  ...args: string[]
): Promise<{ code: unknown; stdout: string }> {
  const child = spawn(`mosquitto_${name}`, ["-h", "127.0.0.1", "-p", port, "-q", "1", "-V", "5", ...args], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  return { code: await new Promise((resolve) => child.on("close", resolve)), stdout };
}
