# Uses a broker with stomp.py; prints one line of JSON for each step. Usage: python3 stomp_peer.py HOST PORT
import json
import sys
import threading
import traceback

import stomp

STEP_S = 20
HOST, PORT = sys.argv[1], int(sys.argv[2])
KINDS = {"1.0": stomp.StompConnection10, "1.1": stomp.StompConnection11, "1.2": stomp.StompConnection12}


class Listener(stomp.ConnectionListener):
    """Collects the frames of a connection."""

    def __init__(self):
        self.changed = threading.Condition()
        self.seen = {"message": [], "error": [], "receipt": [], "disconnected": [], "connected": []}

    def add(self, kind, what):
        with self.changed:
            self.seen[kind].append(what)
            self.changed.notify_all()

    def wait(self, kind, count=1):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.seen[kind]) >= count, STEP_S):
                raise TimeoutError(f"{count} {kind}: {self.seen}")
            return self.seen[kind]

    def on_connected(self, frame):
        self.add("connected", frame)

    def on_message(self, frame):
        self.add("message", frame)

    def on_error(self, frame):
        self.add("error", frame)

    def on_receipt(self, frame):
        self.add("receipt", frame)

    def on_disconnected(self):
        self.add("disconnected", None)


def connect(version="1.2", login="guest", passcode="guest", heartbeats=(0, 0), **options):
    kinds = {} if version == "1.0" else {"vhost": "/", "heartbeats": heartbeats}
    conn = KINDS[version]([(HOST, PORT)], reconnect_attempts_max=1, **kinds, **options)
    listener = Listener()
    conn.set_listener("", listener)
    conn.connect(login, passcode, wait=True)
    return conn, listener


def step(name, work):
    try:
        saw = work()
    except Exception:
        saw = {"error": traceback.format_exc()}
    print(json.dumps([name, saw]), flush=True)


def versions():
    saw = []
    for version in KINDS:
        conn, listener = connect(version)
        saw.append(listener.wait("connected")[0].headers["version"])
        conn.disconnect()
    return saw


def wrong_password():
    try:
        connect(passcode="wrong")
    except stomp.exception.ConnectFailedException:
        return "refused"


def headers(version):
    def work():
        conn, listener = connect(version)
        given = {"plain": "text", "accent": "é", "type": "t", "priority": "3"}
        if version != "1.0":
            # stomp.py escapes values, and not names.
            given |= {"colon": "c:d", "lines": "1\n2", "back": "\\n"}
        subscribe(conn, f"/queue/py.headers.{version}", "auto")
        conn.send(f"/queue/py.headers.{version}", "hello é", content_type="text/plain", headers=given)
        frame = listener.wait("message")[0]
        conn.disconnect()
        return {name: frame.headers.get(name) for name in [*given, "content-type", "destination"]} | {"body": frame.body}
    return work


def subscribe(conn, destination, ack, id="1", **headers):
    conn.subscribe(destination, id, ack=ack, headers=headers)


def acknowledge():
    """Each of two messages is acknowledged or not; the others come again."""
    conn, listener = connect()
    subscribe(conn, "/queue/py.ack", "client-individual")
    for body in "abc":
        conn.send("/queue/py.ack", body, receipt=body)
    listener.wait("receipt", 3)
    messages = listener.wait("message", 3)
    conn.ack(messages[1].headers["ack"])
    conn.nack(messages[2].headers["ack"], requeue="false")
    conn.disconnect()
    again, listener = connect()
    subscribe(again, "/queue/py.ack", "auto")
    frame = listener.wait("message")[0]
    again.disconnect()
    return [frame.body, frame.headers["redelivered"]]


def transaction():
    conn, listener = connect()
    subscribe(conn, "/topic/py.tx", "auto")
    with_commit = conn.begin()
    conn.send("/topic/py.tx", "1", transaction=with_commit)
    conn.send("/topic/py.tx", "2", transaction=with_commit)
    conn.commit(with_commit)
    with_abort = conn.begin()
    conn.send("/topic/py.tx", "lost", transaction=with_abort)
    conn.abort(with_abort)
    conn.send("/topic/py.tx", "3")
    bodies = [frame.body for frame in listener.wait("message", 3)]
    conn.disconnect()
    return bodies


def request():
    """A reply through a temporary queue."""
    server, requests = connect()
    subscribe(server, "/queue/py.rpc", "auto")
    client, replies = connect()
    client.send("/queue/py.rpc", "ping", headers={"reply-to": "/temp-queue/r", "correlation-id": "7"})
    asked = requests.wait("message")[0]
    server.send(asked.headers["reply-to"], asked.body + "!", headers={"correlation-id": asked.headers["correlation-id"]})
    reply = replies.wait("message")[0]
    server.disconnect()
    client.disconnect()
    return [reply.body, reply.headers["correlation-id"], reply.headers["subscription"]]


def many():
    conn, listener = connect(heartbeats=(1000, 1000))
    subscribe(conn, "/topic/py.many", "auto")
    for i in range(1000):
        conn.send("/topic/py.many", str(i))
    bodies = [frame.body for frame in listener.wait("message", 1000)]
    conn.disconnect()
    return bodies == [str(i) for i in range(1000)]


def binary():
    conn, listener = connect(auto_decode=False)
    subscribe(conn, "/queue/py.binary", "auto")
    body = bytes(range(256)) * 1000
    conn.send("/queue/py.binary", body)
    same = listener.wait("message")[0].body == body
    conn.disconnect()
    return same


def error():
    conn, listener = connect()
    conn.send("/unknown/x", "")
    frame = listener.wait("error")[0]
    listener.wait("disconnected")
    return frame.headers["message"]


step("versions", versions)
step("wrong password", wrong_password)
for version in KINDS:
    step(f"headers {version}", headers(version))
step("acknowledge", acknowledge)
step("transaction", transaction)
step("request", request)
step("many", many)
step("binary", binary)
step("error", error)
