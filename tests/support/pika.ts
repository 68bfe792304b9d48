/** pika, the AMQP client of Python, as the other end of tests. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";

const PYTHON = "/usr/bin/python3";

/** Whether pika is installed. */
export const hasPika: boolean = spawnSync(PYTHON, ["-c", "import pika"], { stdio: "ignore" }).status === 0;

/** What each script begins with: an open channel `ch`, and functions for the common cases. */
const PRELUDE = `
import json, sys, time, pika
connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
ch = connection.channel()
def props(**values): return pika.BasicProperties(**values)
def take(queue, wanted=1, seconds=20):
    "Waits for messages of a queue; returns a list of [routing key, body, properties]."
    end, found = time.time() + seconds, []
    while len(found) < wanted and time.time() < end:
        method, properties, body = ch.basic_get(queue, auto_ack=True)
        if method is None: time.sleep(0.02)
        else: found.append([method.routing_key, body.decode("latin-1"), properties])
    return found
def exists(declare, **names):
    "Whether declare(passive=True) finds a queue or an exchange."
    channel = connection.channel()
    try:
        declare(channel)(passive=True, **names)
        return True
    except pika.exceptions.ChannelClosedByBroker:
        return False
def has_queue(name): return exists(lambda c: c.queue_declare, queue=name)
def has_exchange(name): return exists(lambda c: c.exchange_declare, exchange=name)
`;

/**
 * Runs a script with pika against a broker.
 *
 * @param url the AMQP URL of the broker
 * @param script Python; the names of the prelude are defined
 * @returns what it prints
 */
export async function pika(url: string, script: string): Promise<string> {
  const child = spawn(PYTHON, ["-c", `${PRELUDE}\n${script}\nconnection.close()`, `${url}/%2F`]);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0, `${script}\n${stderr}`);
  return stdout;
}
