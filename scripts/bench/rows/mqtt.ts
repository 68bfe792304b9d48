/** `queue serve` for MQTT, compared with mosquitto and RabbitMQ; a program in C makes the load of all. */
import { type BrokerProcess, measureBroker, mosquitto, ownBroker, rabbitMq } from "../brokers.ts";
import type { Lab } from "../lab.ts";
import { Program, residentMiB } from "../processes.ts";
import { compare, type Group, type Measurement, type Row } from "../row.ts";

const MEMORY = ["--memory"];
/** The guarantee of RabbitMQ: a message is in the files of the system when it is acknowledged. */
const FLUSH = ["--sync", "flush"];

/** Runs the load on a broker. @returns the units of work per second */
async function rate(
  lab: Lab,
  { port }: BrokerProcess,
  mode: "flow" | "connect",
  count: number,
  ...options: string[]
): Promise<number> {
  const program = new Program([lab.peer("load_mqtt"), mode, `${port}`, `${count}`, ...options], {
    collect: true,
  });
  await program.success();
  return count / (JSON.parse(program.output) as { seconds: number }).seconds;
}

/** Messages to subscribers per second, from one publisher. */
function flowRow(qos: number, subscribers: number, full: number, target: number): Row {
  const options = ["-q", String(qos), "-n", String(subscribers)];
  return {
    name: `mqtt-${qos}-${subscribers}`,
    title: `QoS ${qos}, 100 B, one publisher and ${subscribers} subscriber${subscribers > 1 ? "s" : ""}`,
    unit: "msgs/s",
    needs: ["mosquitto"],
    targets: { "Deno": target, "Bun binary": target },
    sides(lab) {
      const count = lab.scaled(full);
      const run = (broker: BrokerProcess) =>
        measureBroker(broker, async () => subscribers * await rate(lab, broker, "flow", count, ...options));
      return Promise.resolve(
        compare(
          lab,
          { name: "mosquitto", measure: async () => run(await mosquitto(lab)) },
          async (command) => run(await ownBroker(lab, command, MEMORY, "", "mqtt")),
        ),
      );
    },
  };
}

/** The same with messages and sessions that survive a restart. */
function keptRow(qos: number, full: number, target: number): Row {
  return {
    name: `mqtt-${qos}-kept`,
    title: `QoS ${qos}, 100 B, one publisher and one subscriber with a persistent session`,
    unit: "msgs/s",
    needs: ["mosquitto", "rabbitmq"],
    targets: { "Deno": target, "Bun binary": target },
    sides(lab) {
      const count = lab.scaled(full);
      const run = (broker: BrokerProcess) =>
        measureBroker(broker, () => rate(lab, broker, "flow", count, "-q", String(qos), "-k"));
      return Promise.resolve(
        compare(
          lab,
          { name: "RabbitMQ", measure: async () => run(await rabbitMq(lab, "mqtt")) },
          async (command) => run(await ownBroker(lab, command, FLUSH, "", "mqtt")),
        ),
      );
    },
  };
}

const connectRow: Row = {
  name: "mqtt-connect",
  title: "clients that connect and disconnect, 64 at a time",
  unit: "conns/s",
  needs: ["mosquitto"],
  sides(lab) {
    const count = lab.scaled(20_000);
    const run = (broker: BrokerProcess) => measureBroker(broker, () => rate(lab, broker, "connect", count));
    return Promise.resolve(
      compare(
        lab,
        { name: "mosquitto", measure: async () => run(await mosquitto(lab)) },
        async (command) => run(await ownBroker(lab, command, MEMORY, "", "mqtt")),
      ),
    );
  },
};

const idleRow: Row = {
  name: "mqtt-idle",
  title: "resident memory with 10,000 idle clients",
  unit: "MiB",
  needs: ["mosquitto"],
  sides(lab) {
    const count = lab.scaled(10_000);
    const run = async (broker: BrokerProcess): Promise<Measurement> => {
      const clients = new Program([lab.peer("load_mqtt"), "idle", `${broker.port}`, `${count}`]);
      await clients.says("ready");
      const value = residentMiB(broker.pid);
      await clients.stop();
      return { value };
    };
    return Promise.resolve(
      compare(
        lab,
        { name: "mosquitto", measure: async () => run(await mosquitto(lab)) },
        async (command) => run(await ownBroker(lab, command, MEMORY, "idle", "mqtt")),
      ),
    );
  },
};

/** A subscriber with a wildcard among many subscriptions, compared with fewer on the same program. */
const wildcardRow: Row = {
  name: "mqtt-wildcard",
  title: "QoS 0, a subscriber with a wildcard among 100,000 subscriptions",
  unit: "msgs/s",
  needs: ["gcc"],
  targets: { "Deno": 0.5, "Bun binary": 0.5 },
  sides(lab) {
    const count = lab.scaled(200_000);
    return Promise.resolve(lab.programs.flatMap(({ name, command }) => {
      const among = (others: number) => async () => {
        const broker = await ownBroker(lab, command, MEMORY, "", "mqtt");
        return await measureBroker(broker, () => rate(lab, broker, "flow", count, "-o", String(others)));
      };
      const against = `among 1,000, ${name}`;
      return [{ name: against, measure: among(1000) }, {
        name,
        against,
        measure: among(lab.scaled(100_000)),
      }];
    }));
  },
};

export const mqtt: Group = {
  name: "mqtt",
  title: "queue serve for MQTT, compared with mosquitto, RabbitMQ or with itself",
  rows: [
    flowRow(0, 1, 200_000, 1.5),
    flowRow(0, 10, 50_000, 1.5),
    flowRow(0, 100, 5_000, 1),
    flowRow(1, 1, 100_000, 2),
    flowRow(1, 10, 20_000, 1),
    flowRow(1, 100, 2_000, 1),
    flowRow(2, 1, 50_000, 1),
    flowRow(2, 10, 10_000, 1),
    flowRow(2, 100, 1_000, 1),
    keptRow(1, 100_000, 5),
    connectRow,
    idleRow,
    wildcardRow,
  ],
};
