# The other end of our STOMP client: stomp.py or pika sends, takes, answers or asks. Prints "ready", and then one line of
# JSON for each message. Messages to send are one line of JSON each on stdin.
# Usage: python3 stomp_far_end.py stomp|pika send|take|answer|ask HOST:PORT DESTINATION|QUEUE|"EXCHANGE|KEY" [COUNT]
import base64
import json
import queue
import sys

import pika
import stomp

STEP_S = 30
LIBRARY, WORK, WHERE, TARGET = sys.argv[1:5]
COUNT = int(sys.argv[5]) if len(sys.argv) > 5 else 1
HOST, PORT = WHERE.split(":")
arrived = queue.Queue()


def show(value):
    print(json.dumps(value), flush=True)


def inputs():
    for line in sys.stdin:
        message = json.loads(line)
        yield base64.b64decode(message["body"]), message.get("headers", {}), message.get("properties", {})


class Listener(stomp.ConnectionListener):
    def on_message(self, frame):
        arrived.put(("message", frame))

    def on_receipt(self, frame):
        arrived.put(("receipt", frame))

    def on_error(self, frame):
        arrived.put(("error", frame))


def next_frame(kind):
    """The next frame of a kind; others stay for later."""
    kept = []
    while True:
        got, frame = arrived.get(timeout=STEP_S)
        if got == "error":
            raise RuntimeError(frame)
        if got == kind:
            for one in kept:
                arrived.put(one)
            return frame
        kept.append((got, frame))


def with_stomp():
    conn = stomp.StompConnection12([(HOST, int(PORT))], vhost="/", auto_decode=False)
    conn.set_listener("", Listener())
    conn.connect("guest", "guest", wait=True)
    if WORK == "send":
        for number, (body, headers, _) in enumerate(inputs()):
            conn.send(TARGET, body, headers=headers, receipt=f"r{number}")
            next_frame("receipt")
        show("ready")
    elif WORK == "ask":
        for number, (body, _, _) in enumerate(inputs()):
            conn.send(TARGET, body, headers={"reply-to": "/temp-queue/far", "correlation-id": f"c{number}"})
            frame = next_frame("message")
            show({"headers": frame.headers, "body": base64.b64encode(frame.body).decode()})
    else:
        conn.subscribe(TARGET, "1", ack="client-individual", headers={"receipt": "subscribed"})
        next_frame("receipt")
        show("ready")
        for _ in range(COUNT):
            frame = next_frame("message")
            if WORK == "answer":
                headers = {"correlation-id": frame.headers["correlation-id"]}
                conn.send(frame.headers["reply-to"], frame.body + b"!", headers=headers)
            conn.ack(frame.headers["ack"])
            show({"headers": frame.headers, "body": base64.b64encode(frame.body).decode()})
    conn.disconnect(receipt="bye")
    next_frame("receipt")


def properties_of(properties):
    return {name: value for name, value in vars(properties).items() if value is not None}


def with_pika():
    conn = pika.BlockingConnection(pika.ConnectionParameters(HOST, int(PORT)))
    channel = conn.channel()
    if WORK == "send":
        channel.confirm_delivery()
        exchange, key = TARGET.split("|")
        for body, headers, properties in inputs():
            channel.basic_publish(exchange, key, body, pika.BasicProperties(headers=headers, **properties))
        show("ready")
    elif WORK == "ask":
        replies = channel.queue_declare("", exclusive=True).method.queue
        for number, (body, _, _) in enumerate(inputs()):
            channel.basic_publish("", TARGET, body, pika.BasicProperties(reply_to=replies, correlation_id=f"c{number}"))
            _, properties, answer = next(channel.consume(replies, auto_ack=True, inactivity_timeout=STEP_S))
            show({"properties": properties_of(properties), "body": base64.b64encode(answer).decode()})
    else:
        name = TARGET
        if "|" in TARGET:
            exchange, key = TARGET.split("|")
            name = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(name, exchange, key)
        show("ready")
        for _ in range(COUNT):
            method, properties, body = next(channel.consume(name, inactivity_timeout=STEP_S))
            if WORK == "answer":
                reply = pika.BasicProperties(correlation_id=properties.correlation_id)
                channel.basic_publish("", properties.reply_to, body + b"!", reply)
            channel.basic_ack(method.delivery_tag)
            show({
                "exchange": method.exchange,
                "key": method.routing_key,
                "properties": properties_of(properties),
                "body": base64.b64encode(body).decode(),
            })
        channel.cancel()
    conn.close()


with_stomp() if LIBRARY == "stomp" else with_pika()
