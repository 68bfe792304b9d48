# Runs the steps of amqp_round.mjs with pika; prints one line of JSON for each step. Usage: python3 pika_peer.py URL
import json
import os
import sys
import time
import traceback
import urllib.parse
from datetime import datetime
from decimal import Decimal

import pika
from pika import exceptions

STEP_S = 20
SIZES = [0, 1, 8184, 131_063, 131_064, 131_065, 300_000]
URL = sys.argv[1]
made = []


def unique(what):
    return f"round.{os.getpid()}.{what}"


def connect(url=URL):
    return pika.BlockingConnection(pika.URLParameters(url))


def step(name, work):
    try:
        saw = work()
    except Exception:
        saw = {"error": traceback.format_exc()}
    print(json.dumps([name, saw]), flush=True)


def refused(work):
    """Returns the reply code of the broker. For the handshake, pika has its own errors with the code in the text."""
    try:
        work()
    except (exceptions.ProbableAuthenticationError, exceptions.ProbableAccessDeniedError) as error:
        return int(str(error).split("(")[1][:3])
    except (exceptions.ChannelClosedByBroker, exceptions.ConnectionClosedByBroker) as error:
        return error.reply_code
    return "taken"


def until(condition, connection):
    end = time.monotonic() + STEP_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"Timed out after {STEP_S} s")
        connection.process_data_events(time_limit=0.05)


def elsewhere(password=None, vhost=None):
    parts = urllib.parse.urlsplit(URL)
    if password is not None:
        parts = parts._replace(netloc=f"guest:{password}@{parts.hostname}:{parts.port}")
    if vhost is not None:
        parts = parts._replace(path=f"/{vhost}")
    return parts.geturl()


connection = connect()


def on_channel(work, confirm=False):
    channel = connection.channel()
    if confirm:
        channel.confirm_delivery()
    result = work(channel)
    channel.close()
    return result


def declare(channel, what, **options):
    name = channel.queue_declare(unique(what), durable=True, **options).method.queue
    made.append(name)
    return name


def count(channel, name):
    return channel.queue_declare(name, passive=True).method.message_count


def publish(channel, exchange, key, body, mandatory=False, **properties):
    channel.basic_publish(exchange, key, body, pika.BasicProperties(**properties), mandatory)


def drain(channel, name):
    bodies = []
    while True:
        method, _, body = channel.basic_get(name)
        if method is None:
            return bodies
        bodies.append(body.decode())
        channel.basic_ack(method.delivery_tag)


def body_of(size):
    return bytes(i * 31 & 255 for i in range(size))


def declared(channel):
    name = declare(channel, "declared")
    again = channel.queue_declare(name, durable=True).method
    return [again.queue == name, again.message_count, again.consumer_count]


def server_named(channel):
    name = channel.queue_declare("", exclusive=True).method.queue
    return name.startswith("amq.gen-") and len(name) >= 28


def otherwise():
    name = on_channel(lambda channel: declare(channel, "otherwise"))
    return [
        refused(lambda: connection.channel().queue_declare(name, durable=False)),
        refused(lambda: connection.channel().queue_declare(name, durable=True, arguments={"x-max-length": 5})),
    ]


def exclusive():
    other = connect()
    name = other.channel().queue_declare(unique("exclusive"), exclusive=True).method.queue
    look = lambda: refused(lambda: connection.channel().queue_declare(name, passive=True))
    codes = [look()]
    other.close()
    until(lambda: look() == 404, connection)
    return [*codes, 404]


def direct(channel):
    source, to = unique("direct"), declare(channel, "of direct")
    channel.exchange_declare(source, "direct", durable=True)
    channel.queue_bind(to, source, "a")
    for key in ["a", "b", "a.b"]:
        publish(channel, source, key, key.encode())
    bodies = drain(channel, to)
    channel.queue_unbind(to, source, "a")
    publish(channel, source, "a", b"unbound")
    bodies += drain(channel, to)
    channel.exchange_delete(source)
    return bodies


def fanout(channel):
    source = unique("fanout")
    channel.exchange_declare(source, "fanout", auto_delete=True)
    queues = [declare(channel, "left"), declare(channel, "right")]
    for to in queues:
        channel.queue_bind(to, source)
    publish(channel, source, "any", b"both")
    return drain(channel, queues[0]) + drain(channel, queues[1])


def topic(channel):
    to, head = declare(channel, "of topic"), unique("t")
    for key in [f"{head}.*.error", f"{head}.#.end"]:
        channel.queue_bind(to, "amq.topic", key)
    for key in ["web.error", "error", "web.db.error", "x.y.end", "end", "error.end"]:
        publish(channel, "amq.topic", f"{head}.{key}", key.encode())
    return drain(channel, to)


def headers(channel):
    source = unique("headers")
    channel.exchange_declare(source, "headers", durable=True)
    queues = {match: declare(channel, match) for match in ["all", "any"]}
    for match, to in queues.items():
        channel.queue_bind(to, source, "", {"x-match": match, "color": "red", "size": 7})
    for given in [{"color": "red", "size": 7, "more": True}, {"color": "red"}, {"size": 8}, {}]:
        publish(channel, source, "", json.dumps(given, separators=(",", ":")).encode(), headers=given)
    bodies = [drain(channel, queues["all"]), drain(channel, queues["any"])]
    channel.exchange_delete(source)
    return bodies


def exchange_to_exchange(channel):
    outer, inner = unique("outer"), unique("inner")
    channel.exchange_declare(outer, "topic", durable=True)
    channel.exchange_declare(inner, "fanout", durable=True)
    to = declare(channel, "of inner")
    channel.queue_bind(to, inner)
    channel.exchange_bind(inner, outer, "in.#")
    for key in ["in.side", "out.side"]:
        publish(channel, outer, key, key.encode())
    channel.exchange_unbind(inner, outer, "in.#")
    publish(channel, outer, "in.vain", b"unbound")
    for name in [outer, inner]:
        channel.exchange_delete(name)
    return drain(channel, to)


def unknown_type():
    other = connect()
    return refused(lambda: other.channel().exchange_declare(unique("unknown"), "unknown"))


def confirms(channel):
    name = declare(channel, "confirmed")
    for i in range(1000):
        publish(channel, "", name, f"message {i}".encode(), delivery_mode=2)
    return count(channel, name)


def consume(channel):
    name, seen = unique("confirmed"), [0]

    def take(channel, method, properties, body):
        if body == f"message {seen[0]}".encode() and not method.redelivered:
            seen[0] += 1
        if seen[0] % 50 == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)

    channel.basic_qos(prefetch_count=50)
    channel.basic_consume(name, take)
    until(lambda: seen[0] == 1000, connection)
    return [seen[0], count(channel, name)]


def bodies(channel):
    name, wrong = declare(channel, "bodies"), []
    for size in SIZES:
        publish(channel, "", name, body_of(size))
    for size in SIZES:
        method, _, body = channel.basic_get(name)
        if body != body_of(size):
            wrong.append(size)
        channel.basic_ack(method.delivery_tag)
    return wrong


PROPERTIES = {
    "content_type": "application/x",
    "content_encoding": "identity",
    "delivery_mode": 2,
    "priority": 3,
    "correlation_id": "c",
    "reply_to": "r",
    "expiration": "60000",
    "message_id": "m",
    "timestamp": 1_700_000_000,
    "type": "t",
    "user_id": "guest",
    "app_id": "a",
    # pika sends fractions only as decimals.
    "headers": {
        "text": "ü\U0001f600",
        "empty": "",
        "int": -70_000,
        "long": 2**40,
        "yes": True,
        "nothing": None,
        "bytes": b"\x00\xff",
        "time": datetime(2023, 11, 14, 22, 13, 20),
        "decimal": Decimal("3.14"),
        "list": [1, "two", {"three": 3}, []],
        "table": {"inner": {"most": False}},
    },
}


def properties(channel):
    name = declare(channel, "properties")
    publish(channel, "", name, b"p", **PROPERTIES)
    method, got, _ = channel.basic_get(name)
    channel.basic_ack(method.delivery_tag)
    return [[key, repr(getattr(got, key))] for key, value in PROPERTIES.items() if getattr(got, key) != value]


def mandatory(channel):
    key = unique("nobody")
    try:
        publish(channel, "", key, b"come back", mandatory=True, message_id="m")
    except exceptions.UnroutableError as error:
        [back] = error.messages
        method = back.method
        return [method.reply_code, method.reply_text, method.routing_key == key, back.properties.message_id,
                back.body.decode()]
    return "taken"


def full_queue(channel):
    name = declare(channel, "full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    outcomes = []
    for _ in range(2):
        try:
            publish(channel, "", name, b"x")
            outcomes.append("taken")
        except exceptions.NackError:
            outcomes.append("refused")
    return outcomes


def missing_exchange():
    channel = connection.channel()
    channel.confirm_delivery()
    return refused(lambda: publish(channel, unique("no exchange"), "", b"x"))


def prefetch(channel):
    name, came = declare(channel, "prefetch"), []
    for i in range(20):
        publish(channel, "", name, str(i).encode())

    def take(channel, method, properties, body):
        came.append((method.delivery_tag, body.decode()))
        if len(came) > 5:
            channel.basic_ack(method.delivery_tag)

    channel.basic_qos(prefetch_count=5)
    channel.basic_consume(name, take)
    until(lambda: len(came) == 5, connection)
    ready = count(channel, name)
    channel.basic_ack(came[4][0], multiple=True)
    until(lambda: len(came) == 20, connection)
    return [ready, " ".join(body for _, body in came)]


def requeue(channel):
    name, flags = declare(channel, "requeue"), []
    publish(channel, "", name, b"x")
    for i in range(3):
        method, _, _ = channel.basic_get(name)
        flags.append(method.redelivered)
        if i < 2:
            channel.basic_nack(method.delivery_tag, requeue=True)
        else:
            channel.basic_ack(method.delivery_tag)
    return flags


def dead_letters(channel):
    dead, deaths = declare(channel, "dead"), []
    name = declare(
        channel, "alive", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    )
    for expiration in [None, "1"]:
        publish(channel, "", name, b"x", expiration=expiration)
        if expiration is None:
            channel.basic_nack(channel.basic_get(name)[0].delivery_tag, requeue=False)
        found = []
        until(lambda: found.append(channel.basic_get(dead)) or found[-1][0] is not None, connection)
        method, got, _ = found[-1]
        [death] = got.headers["x-death"]
        deaths.append([death["reason"], death["count"], death["queue"] == name])
        channel.basic_ack(method.delivery_tag)
    return deaths


def get(channel):
    name, saw = declare(channel, "get"), []
    for body in [b"one", b"two"]:
        publish(channel, "", name, body)
    for _ in range(2):
        method, _, body = channel.basic_get(name)
        saw += [body.decode(), method.message_count]
        channel.basic_ack(method.delivery_tag)
    return [*saw, channel.basic_get(name)[0]]


def cancel(channel):
    name = declare(channel, "cancel")
    tag = channel.basic_consume(name, lambda *_: None)
    consumers = channel.queue_declare(name, passive=True).method.consumer_count
    channel.basic_cancel(tag)
    publish(channel, "", name, b"x")
    after = channel.queue_declare(name, passive=True).method
    return [consumers, after.consumer_count, after.message_count]


def cancelled(channel):
    name, seen = declare(channel, "doomed"), []
    channel.add_on_cancel_callback(lambda frame: seen.append(frame))
    channel.basic_consume(name, lambda *_: None)
    on_channel(lambda other: other.queue_delete(name))
    until(lambda: seen, connection)
    return True


def unknown_tag():
    channel = connection.channel()

    def work():
        channel.basic_ack(99)
        channel.queue_declare("", exclusive=True)

    return refused(work)


def transaction(channel):
    name = declare(channel, "transaction")
    seen = lambda: on_channel(lambda other: count(other, name))
    channel.tx_select()
    for body in [b"a", b"b"]:
        publish(channel, "", name, body)
    counts = [seen()]
    channel.tx_commit()
    counts.append(seen())
    publish(channel, "", name, b"c")
    channel.tx_rollback()
    counts.append(seen())
    return counts


def direct_reply_to(channel):
    name, answers = declare(channel, "service"), []

    def serve(channel, method, properties, body):
        publish(channel, "", properties.reply_to, body + b"!", correlation_id=properties.correlation_id)
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(name, serve)

    def ask(asking):
        replies = "amq.rabbitmq.reply-to"
        asking.basic_consume(
            replies,
            lambda _channel, _method, properties, body: answers.append([body.decode(), properties.correlation_id]),
            auto_ack=True,
        )
        publish(asking, "", name, b"ping", reply_to=replies, correlation_id="c-1")
        until(lambda: answers, connection)
        return answers[0]

    return on_channel(ask)


def purge_delete(channel):
    name = declare(channel, "purged")
    for _ in range(3):
        publish(channel, "", name, b"x")
    counts = [channel.queue_purge(name).method.message_count]
    publish(channel, "", name, b"x")
    counts.append(channel.queue_delete(name).method.message_count)
    counts.append(channel.queue_delete(name).method.message_count)
    return counts


def close():
    def clean(channel):
        for name in made:
            channel.queue_delete(name)

    on_channel(clean)
    connection.close()
    return connection.is_closed


def listens_for_blocked():
    connection.add_on_connection_blocked_callback(lambda *_: None)
    connection.add_on_connection_unblocked_callback(lambda *_: None)
    # pika has flags for four of the server's capabilities.
    return [
        connection.basic_nack_supported,
        connection.consumer_cancel_notify_supported,
        connection.exchange_exchange_bindings_supported,
        connection.publisher_confirms_supported,
    ] == [True] * 4


step("wrong password", lambda: refused(lambda: connect(elsewhere(password="wrong"))))
step("missing virtual host", lambda: refused(lambda: connect(elsewhere(vhost="none"))))
step("blocked", listens_for_blocked)
step("declare", lambda: on_channel(declared))
step("server-named", lambda: on_channel(server_named))
step("passive, missing",
     lambda: refused(lambda: connection.channel().queue_declare(unique("missing"), passive=True)))
step("declared otherwise", otherwise)
step("reserved name", lambda: refused(lambda: connection.channel().queue_declare("amq.mine", durable=True)))
step("exclusive", exclusive)
step("direct", lambda: on_channel(direct, True))
step("fanout", lambda: on_channel(fanout, True))
step("topic", lambda: on_channel(topic, True))
step("headers", lambda: on_channel(headers, True))
step("exchange to exchange", lambda: on_channel(exchange_to_exchange, True))
step("unknown exchange type", unknown_type)
step("confirms", lambda: on_channel(confirms, True))
step("consume", lambda: on_channel(consume))
step("bodies", lambda: on_channel(bodies, True))
step("properties", lambda: on_channel(properties, True))
step("mandatory", lambda: on_channel(mandatory, True))
step("full queue", lambda: on_channel(full_queue, True))
step("missing exchange", missing_exchange)
step("prefetch", lambda: on_channel(prefetch, True))
step("requeue", lambda: on_channel(requeue, True))
step("dead letters", lambda: on_channel(dead_letters, True))
step("get", lambda: on_channel(get, True))
step("cancel", lambda: on_channel(cancel, True))
step("cancelled by the broker", lambda: on_channel(cancelled))
step("unknown delivery tag", unknown_tag)
step("transaction", lambda: on_channel(transaction))
step("direct reply-to", lambda: on_channel(direct_reply_to))
step("purge, delete", lambda: on_channel(purge_delete, True))
step("close", close)
