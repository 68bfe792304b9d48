"""Exchanges messages between paho (MQTT 3.1.1 and 5.0) and pika (AMQP) through one broker, and prints what arrives.

Usage: mqtt_peer.py MQTT_PORT AMQP_PORT. Prints one JSON object: the result of each step.
"""
import json
import queue
import sys

import paho.mqtt.client as mqtt
import pika
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MQTT_PORT, AMQP_PORT = int(sys.argv[1]), int(sys.argv[2])
DEADLINE = 10
steps = {}


def connect(name, version, clean=True):
    options = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
    client = mqtt.Client(name, protocol=version, **options)
    client.inbox = queue.Queue()
    client.events = queue.Queue()
    client.on_message = lambda _c, _u, message: client.inbox.put(message)
    client.on_subscribe = lambda *_: client.events.put("subscribed")
    client.on_connect = lambda _c, _u, flags, *_: client.events.put(flags["session present"])
    if version == mqtt.MQTTv5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0 if clean else 1000
        client.connect("127.0.0.1", MQTT_PORT, clean_start=clean, properties=properties)
    else:
        client.connect("127.0.0.1", MQTT_PORT)
    client.loop_start()
    client.present = client.events.get(timeout=DEADLINE)
    return client


def subscribe(client, topic, qos):
    client.subscribe(topic, qos)
    client.events.get(timeout=DEADLINE)


def close(client):
    client.disconnect()
    client.loop_stop()


def text(message):
    return f"{message.topic} {message.payload.decode()} {message.qos}"


def each_qos(version):
    client = connect(f"qos{version}", version)
    subscribe(client, f"paho{version}/#", 2)
    for qos in 0, 1, 2:
        client.publish(f"paho{version}/{qos}", f"m{qos}", qos).wait_for_publish(DEADLINE)
    got = sorted(text(client.inbox.get(timeout=DEADLINE)) for _ in range(3))
    close(client)
    return got


def session(version):
    name, topic = f"session{version}", f"session{version}"
    client = connect(name, version, clean=False)
    subscribe(client, topic, 1)
    close(client)
    other = connect(f"other{version}", version)
    other.publish(topic, "waited", 1).wait_for_publish(DEADLINE)
    close(other)
    client = connect(name, version, clean=False)
    got = [client.present, text(client.inbox.get(timeout=DEADLINE))]
    close(client)
    return [bool(got[0]), got[1]]


def crossing():
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", AMQP_PORT))
    channel = connection.channel()
    own = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(own, "amq.topic", "cross.*")
    client = connect("cross", mqtt.MQTTv5)
    subscribe(client, "cross/+", 1)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "text/plain"
    properties.CorrelationData = b"c1"
    properties.ResponseTopic = "reply/here"
    properties.UserProperty = [("k", "v"), ("l", "w")]
    client.publish("cross/a", "from mqtt", 1, properties=properties).wait_for_publish(DEADLINE)
    fields = pika.BasicProperties(
        content_type="text/csv", correlation_id="c2", reply_to="reply.there", headers={"h": "x"}, delivery_mode=2
    )
    channel.basic_publish("amq.topic", "cross.b", b"from amqp", fields)
    to_mqtt = [client.inbox.get(timeout=DEADLINE) for _ in range(2)]
    to_amqp = []
    for method, props, body in channel.consume(own, inactivity_timeout=DEADLINE):
        to_amqp.append(
            [method.routing_key, body.decode(), props.content_type, props.correlation_id, props.reply_to,
             dict(props.headers or {})]
        )
        if len(to_amqp) == 2:
            break
    connection.close()
    close(client)
    return {
        "amqp": to_amqp,
        "mqtt": [
            [text(one), one.properties.ContentType, one.properties.CorrelationData.decode(),
             one.properties.ResponseTopic, [list(pair) for pair in one.properties.UserProperty]]
            for one in to_mqtt
        ],
    }


steps["qos, 3.1.1"] = each_qos(mqtt.MQTTv311)
steps["qos, 5.0"] = each_qos(mqtt.MQTTv5)
steps["session, 3.1.1"] = session(mqtt.MQTTv311)
steps["session, 5.0"] = session(mqtt.MQTTv5)
steps["crossing"] = crossing()
print(json.dumps(steps))
