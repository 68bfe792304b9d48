/** pub, sub, push and pull at MQTT servers: our broker and mosquitto. The other end is mosquitto_pub or mosquitto_sub. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { requirePeer, tempDir, waitFor } from "../support/helpers.ts";
import { hasMosquitto, MQTT_SERVERS, type MqttServer, tool } from "../support/mqtt_servers.ts";
import { PATIENCE, type Program, run, start } from "../support/mqcat.ts";

const test = requirePeer("mosquitto", hasMosquitto, 3 * PATIENCE);

for (const [name, open] of Object.entries(MQTT_SERVERS)) {
  describe(`patterns on MQTT, ${name}`, () => {
    let opened: Promise<MqttServer> | undefined;
    const server = () => opened ??= open();
    after(async () => await (await opened)?.stop());
    const at = async (topic: string) => `mqtt://127.0.0.1:${(await server()).port}/${topic}`;
    const publish = async (...args: string[]) =>
      assert.equal((await tool("pub", (await server()).port, ...args)).code, 0);
    const subscriber = async (args: readonly string[]) => {
      const dir = tempDir();
      const program: Program = start([...args, "--ready-file", dir.file("ready")]);
      await program.readyEndpoint();
      return {
        program,
        async ended() {
          const { code, stdout, stderr } = await program.exit();
          assert.deepEqual([code, stderr], [0, ""]);
          return stdout.toString();
        },
        [Symbol.dispose]() {
          program[Symbol.dispose]();
          dir.remove();
        },
      };
    };
    const well = async (args: readonly string[], stdin = "") => {
      const { code, stdout, stderr } = await run(args, { stdin });
      assert.deepEqual([code, stderr], [0, ""], args.join(" "));
      return stdout.toString();
    };

    test("sub - prints what mosquitto_pub publishes, by filter, with its topic and user properties", async () => {
      using sub = await subscriber([
        "sub",
        await at("s/+/t"),
        "-t",
        "news/#",
        "-n",
        "3",
        "-f",
        "%t|%s|%h\\n",
      ]);
      await publish("-t", "s/1/t", "-m", "a", "-D", "publish", "user-property", "k", "v");
      await publish("-t", "s/1/other", "-m", "no");
      await publish("-t", "news", "-m", "b");
      await publish("-t", "s//t", "-m", "c");
      assert.equal(await sub.ended(), "s/1/t|a|k=v\nnews|b|\ns//t|c|\n");
    });

    test("pub - reaches mosquitto_sub: topics of lines and records, headers, QoS 2, retained messages", async () => {
      const { port } = await server();
      const format = ["-F", "%t %p %P"];
      const got = tool("sub", port, "-t", "p/#", "-C", "4", "-W", "30", ...format);
      // Retained, so that it does not matter which end is faster.
      await well(["pub", await at("p/1"), "-H", "k=v", "--retain", "--qos", "2"], "one\n");
      await well(["pub", await at(""), "-K", " ", "--retain"], "p/2 two words\n");
      await well(
        ["pub", await at(""), "-J", "--retain"],
        '{"topic":"p/3","body":"three"}\n{"topic":"p/4","body":"4"}\n',
      );
      const { code, stdout } = await got;
      assert.equal(code, 0);
      assert.deepEqual(stdout.split("\n").map((line) => line.trim()).filter(Boolean).sort(), [
        "p/1 one k:v",
        "p/2 two words",
        "p/3 three",
        "p/4 4",
      ]);
    });

    test("sub - begins with the retained messages", async () => {
      await publish("-t", "kept/x", "-m", "state", "-r");
      assert.equal(await well(["sub", await at("kept/#"), "-n", "1", "-K", "="]), "kept/x=state\n");
    });

    test("pull - shares the messages of a filter with the other members of its group", async () => {
      using one = await subscriber(["pull", await at("jobs/#"), "--group", "g"]);
      using two = await subscriber(["pull", await at("jobs/#"), "--group", "g"]);
      for (let i = 0; i < 6; i++) await publish("-t", `jobs/${i}`, "-m", `job ${i}`);
      const lines = () => (one.program.text + two.program.text).trim().split("\n").sort();
      await waitFor(() => lines().length === 6, PATIENCE, "six messages");
      assert.deepEqual(lines(), [0, 1, 2, 3, 4, 5].map((i) => `job ${i}`));
    });

    test("push - goes to the topic of the address, once for each group", async () => {
      using pull = await subscriber(["pull", await at("work"), "-n", "2", "-J"]);
      await well(["push", await at("work"), "-P", "content_type=text/plain"], "a\nb\n");
      const records = (await pull.ended()).trim().split("\n").map((line) => JSON.parse(line));
      assert.deepEqual(records.map(({ topic, body, properties }) => [topic, body, properties.content_type]), [
        ["work", "a", "text/plain"],
        ["work", "b", "text/plain"],
      ]);
    });

    test("pub -J - reports once what of the records has no place in MQTT", async () => {
      const record = (body: string) =>
        JSON.stringify({ body, properties: { priority: 1, message_id: body } });
      const { code, stderr } = await run(["pub", await at("t/p"), "-J"], {
        stdin: ["a", "b", "c"].map((body) => `${record(body)}\n`).join(""),
      });
      assert.deepEqual([code, stderr], [
        0,
        "mqcat: pub: MQTT has no place for priority, message_id of messages: they are not sent\n",
      ]);
    });

    test("a missing topic, a filter as a topic, and options of other systems are refused", async () => {
      const cases: [args: string[], words: RegExp][] = [
        [
          ["pub", await at("")],
          /the topic is missing: name it in the address, mqtt:\/\/host\/topic, or with -t/,
        ],
        [["pub", await at("a/#")], /'a\/#' is not a topic to publish to/],
        [["pub", await at("a"), "-t", "b"], /names the topic 'a' already/],
        [["push", await at("")], /names no topic/],
        [["pull", await at("")], /names no topic/],
        [["pull", await at("a"), "--drain"], /--drain is for AMQP, not for MQTT/],
        [["pub", await at("a"), "--mandatory"], /--mandatory is for AMQP, not for MQTT/],
        [["sub", await at("a"), "-H", "k=v"], /--header is for AMQP, not for MQTT/],
      ];
      for (const [args, words] of cases) {
        const { code, stderr } = await run(args, { stdin: "x\n" });
        assert.match(stderr, words);
        assert.equal(code, 2, args.join(" "));
      }
    });
  });
}
