/** RPC clients and servers with pika: RabbitMQ's tutorial 6, and a client with direct reply-to. */
import { spawnSync } from "node:child_process";
import { Program } from "../../support/mqcat.ts";

const PYTHON = "/usr/bin/python3";

export const hasPika: boolean = spawnSync(PYTHON, ["-c", "import pika"], { stdio: "ignore" }).status === 0;

/** The server of https://www.rabbitmq.com/tutorials/tutorial-six-python; its queue is an argument. */
const SERVER = `
import pika, sys
connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
channel = connection.channel()
channel.queue_declare(queue=sys.argv[2])
def fib(n):
    if n == 0: return 0
    elif n == 1: return 1
    else: return fib(n - 1) + fib(n - 2)
def on_request(ch, method, props, body):
    response = fib(int(body))
    ch.basic_publish(exchange='', routing_key=props.reply_to,
        properties=pika.BasicProperties(correlation_id=props.correlation_id), body=str(response))
    ch.basic_ack(delivery_tag=method.delivery_tag)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue=sys.argv[2], on_message_callback=on_request)
print(" [x] Awaiting RPC requests", flush=True)
channel.start_consuming()
`;

/** The client of the tutorial: replies come to an exclusive queue, or by direct reply-to. Lines are requests. */
const CLIENT = `
import pika, sys, uuid
url, queue, direct = sys.argv[1:]
class RpcClient(object):
    def __init__(self):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.callback_queue = "amq.rabbitmq.reply-to"
        if direct == "no":
            self.callback_queue = self.channel.queue_declare(queue='', exclusive=True).method.queue
        self.channel.basic_consume(queue=self.callback_queue, on_message_callback=self.on_response, auto_ack=True)
        self.response = None
        self.corr_id = None
    def on_response(self, ch, method, props, body):
        if self.corr_id == props.correlation_id: self.response = (props, body)
    def call(self, n):
        self.response = None
        self.corr_id = str(uuid.uuid4())
        self.channel.basic_publish(exchange='', routing_key=queue,
            properties=pika.BasicProperties(reply_to=self.callback_queue, correlation_id=self.corr_id), body=n)
        while self.response is None: self.connection.process_data_events(time_limit=1)
        return self.response
client = RpcClient()
for line in sys.stdin:
    props, body = client.call(line.rstrip("\\n"))
    print(body.decode(), (props.headers or {}).get("x-error", ""), flush=True)
client.connection.close()
`;

/** A requester that ends before its reply: it prints a line when the broker has its request. */
const VANISHING = `
import pika, sys
url, queue, direct = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()
callback = "amq.rabbitmq.reply-to"
if direct == "no": callback = channel.queue_declare(queue='', exclusive=True).method.queue
channel.basic_consume(queue=callback, on_message_callback=print, auto_ack=True)
channel.basic_publish(exchange='', routing_key=queue,
    properties=pika.BasicProperties(reply_to=callback, correlation_id="1"), body="lost")
connection.close()
`;

/** Starts the server, which declares its queue. */
export async function fibServer(url: string, queue: string): Promise<Program> {
  const server = new Program([PYTHON, "-c", SERVER, url, queue], {}, ["rpc_server.py"]);
  await server.waitForStdout(/Awaiting/);
  return server;
}

/** Starts a client that sends each line of stdin as a request, and prints the replies. */
export function rpcClient(url: string, queue: string, direct: boolean, stdin: string): Program {
  return new Program([PYTHON, "-c", CLIENT, url, queue, direct ? "yes" : "no"], { stdin }, ["rpc_client.py"]);
}

/** Sends a request, and disconnects. */
export async function vanish(url: string, queue: string, direct: boolean): Promise<void> {
  const args = [PYTHON, "-c", VANISHING, url, queue, direct ? "yes" : "no"];
  using client = new Program(args, {}, ["vanishing client"]);
  const { code, stderr } = await client.exit();
  if (code !== 0) throw new Error(stderr);
}
