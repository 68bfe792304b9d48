import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import examples from "../../cheats/queue-run.md" with { type: "text" };
import { command, flag, group, option } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { phrase } from "../../app/reporter.ts";
import type { Session } from "../../app/session.ts";
import { TestClock } from "../../../lib/broker/testing/test_clock.ts";
import type { Broker } from "../../../lib/broker/server.ts";
import { admit, type Credentials, usersOf } from "../../queue/serve/credentials.ts";
import { httpListener } from "../../options/http.ts";
import { openBroker } from "../../queue/serve/open_broker.ts";
import { serving } from "../../queue/serve/options.ts";

/** The exit statuses of a shell for a missing command, and for one that it cannot run. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

export default command({
  argument: ["<command...>", "the command to run, after --; mqcat exits with its exit code"],
  options: {
    ...group("Endpoints", {
      http: option(
        "--http [address]",
        "also serve RabbitMQ's HTTP API, at this host:port or at a free port; $AMQP_HTTP_URL has its address",
        httpListener,
      ),
    }),
    ...group("Testing", {
      test: flag(
        "--test",
        "let tests control the broker over HTTP, at $MQCAT_TEST_URL: move its clock, cause faults, and reset it",
      ),
    }),
    ...serving,
    ...group("Storage", {
      memory: { ...serving.memory, description: `${serving.memory.description} (the default)` },
    }),
  },
  passThrough: true,
  examples,
  async action({ session, values, operands }) {
    if (operands[0] === "") {
      throw new UsageError("the command must not be empty (is a variable of the shell not set?)");
    }
    if (values.memory && values.folder !== undefined) {
      throw new UsageError("--memory stores nothing on disk, so it cannot be combined with --data");
    }
    const data = values.folder === undefined ? undefined : path.resolve(values.folder);
    const options = { ...values, cert: undefined, key: undefined };
    const clock = values.test ? new TestClock({ running: true }) : undefined;
    const broker = await openBroker(session, options, data, clock);
    const address = (await broker.listen("amqp://127.0.0.1:0")).replace("amqp://", "");
    const { name, password } = usersOf(options)?.at(-1) ?? commandUser(broker);
    const login = `${encodeURIComponent(name)}:${encodeURIComponent(password)}`;
    const env: Record<string, string> = {
      // The command is for this broker, not for that of a context or of the environment.
      MQCAT_CONTEXT: "",
      AMQP_HTTP_URL: "",
      AMQP_URL: `amqp://${login}@${address}`,
      STOMP_URL: (await broker.listen("stomp://127.0.0.1:0")).replace("://", `://${login}@`),
      MQTT_URL: (await broker.listen("mqtt://127.0.0.1:0")).replace("://", `://${login}@`),
    };
    if (values.test) {
      const url = await broker.listenHttp("127.0.0.1:0");
      env["MQCAT_TEST_URL"] = `${url.replace("://", `://${login}@`)}/api/test`;
    }
    if (values.http !== undefined) env["AMQP_HTTP_URL"] = await broker.listenHttp(values.http);
    return await runCommand(session, operands, env);
  },
});

/** The user of the command if no option names one: guest, or a new one with a random password if guest is not there. */
function commandUser(broker: Broker): Credentials {
  const guest = { name: "guest", password: "guest" };
  if (broker.users.authenticate(guest.name, new TextEncoder().encode(guest.password), true) === undefined) {
    return guest;
  }
  const user = { name: "mqcat", password: randomUUID() };
  admit(broker, [user]);
  return user;
}

/** Runs a command with our stdin and stdout, and passes signals on; resolves to its exit status as in a shell. */
function runCommand(
  session: Session,
  words: readonly string[],
  env: Record<string, string>,
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(words[0]!, words.slice(1), { stdio: "inherit", env: { ...process.env, ...env } });
    // Not ChildProcess.kill: in Deno it reports the signal as the cause of the exit in any case.
    const pass = (signal: NodeJS.Signals) => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(child.pid, signal);
    };
    child.on("error", (error) => {
      const { code } = error as NodeJS.ErrnoException;
      const reason = code === "ENOENT"
        ? "there is no such program"
        : code === "EACCES"
        ? "it is not an executable file"
        : phrase(error);
      session.reporter.error(`cannot run '${words[0]}': ${reason}`);
      resolve(code === "EACCES" ? NOT_EXECUTABLE : NOT_FOUND);
    });
    child.on("close", (status, signal) => resolve(status ?? 128 + os.constants.signals[signal!]));
    session.onStop(() => {
      // A terminal sends its interrupt to all of its programs, and a second one would stop the command at once.
      if (session.signal !== "SIGINT" || !process.stderr.isTTY) pass(session.signal!);
    });
    session.onAbort(() => pass("SIGKILL"));
  });
}
