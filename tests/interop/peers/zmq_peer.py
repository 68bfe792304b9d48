"""A libzmq peer for the interop tests: sockets that are controlled by lines of JSON on stdin.

Each line is {"id": 1, "socket": "a", "op": "recv", ...}; each is answered by {"id": 1, "ok": ...} or
{"id": 1, "error": "..."}. Every socket lives in a thread of its own, so that one may wait while others work.

A frame to send is a string of hexadecimal, or a number n: n bytes 0, 1, ... 255, 0, ... A received frame is reported as
hexadecimal, or as "length:sha256" when it has more than 512 bytes.
"""
import hashlib
import json
import os
import queue
import sys
import threading
import time

import zmq

context = zmq.Context()
output = threading.Lock()
ALL_BYTES = bytes(range(256))


def say(answer):
    with output:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def to_frame(spec):
    if isinstance(spec, int):
        return (ALL_BYTES * (spec // 256 + 1))[:spec]
    return bytes.fromhex(spec)


def to_text(frame):
    if len(frame) <= 512:
        return frame.hex()
    return "%d:%s" % (len(frame), hashlib.sha256(frame).hexdigest())


class Socket(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.jobs = queue.Queue()
        self.start()

    def run(self):
        while True:
            job = self.jobs.get()
            try:
                say({"id": job["id"], "ok": getattr(self, job["op"])(**job.get("args", {}))})
            except Exception as error:
                say({"id": job["id"], "error": "%s: %s" % (type(error).__name__, error)})
            if job["op"] == "close":
                return

    def open(self, type, options={}):
        self.zmq = context.socket(getattr(zmq, type))
        self.zmq.setsockopt(zmq.LINGER, 0)
        self.zmq.setsockopt(zmq.RECONNECT_IVL, 20)
        for name, value in options.items():
            value = bytes.fromhex(value) if isinstance(value, str) else value
            self.zmq.setsockopt(getattr(zmq, name), value)

    def bind(self, endpoint):
        self.allow(endpoint)
        # The port of a recently closed socket may not be free yet.
        for attempt in range(200):
            try:
                self.zmq.bind(endpoint)
                return self.zmq.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE or attempt == 199:
                    raise
                time.sleep(0.02)

    def connect(self, endpoint):
        self.allow(endpoint)
        self.zmq.connect(endpoint)

    def option(self, name, value):
        self.zmq.setsockopt(getattr(zmq, name), bytes.fromhex(value) if isinstance(value, str) else value)

    def authenticate(self, passwords={}, keys=None):
        """Accepts users with these passwords, and CURVE clients with a certificate in the folder `keys`."""
        from zmq.auth.thread import ThreadAuthenticator

        self.authenticator = ThreadAuthenticator(context)
        self.authenticator.start()
        self.authenticator.configure_plain(domain="*", passwords=passwords)
        if keys is not None:
            self.authenticator.configure_curve(domain="*", location=keys)

    def send(self, frames, timeout=10000):
        self.zmq.setsockopt(zmq.SNDTIMEO, timeout)
        self.zmq.send_multipart([to_frame(frame) for frame in frames])

    def recv(self, timeout=10000):
        """The frames of the next message; null when none arrives in time."""
        frames = self.next(timeout)
        return None if frames is None else [to_text(frame) for frame in frames]

    def recv_all(self, quiet):
        """The messages that arrive until `quiet` milliseconds pass without one."""
        messages = []
        while True:
            frames = self.next(quiet)
            if frames is None:
                return messages
            messages.append([to_text(frame) for frame in frames])

    def blast(self, count, start=0, pad=0, head=[]):
        """Sends the numbers from `start` as text, each after the frames `head`."""
        self.zmq.setsockopt(zmq.SNDTIMEO, 20000)
        head = [to_frame(frame) for frame in head]
        for number in range(start, start + count):
            self.zmq.send_multipart(head + [str(number).ljust(pad).encode()])

    def collect(self, count, timeout=10000):
        """The numbers in the last frames of the next `count` messages; fewer when no more arrive."""
        numbers = []
        while len(numbers) < count:
            frames = self.next(timeout)
            if frames is None:
                break
            numbers.append(int(frames[-1]))
        return numbers

    def echo(self, count, timeout=10000):
        """Sends the next `count` messages back; returns how many arrived."""
        self.zmq.setsockopt(zmq.SNDTIMEO, timeout)
        for done in range(count):
            frames = self.next(timeout)
            if frames is None:
                return done
            self.zmq.send_multipart(frames)
        return count

    def poke(self):
        """Makes the socket process new connections: libzmq does that only inside a call."""
        return self.zmq.getsockopt(zmq.EVENTS)

    def close(self):
        self.zmq.close()

    def allow(self, endpoint):
        self.zmq.setsockopt(zmq.IPV6, int("[" in endpoint))

    def next(self, timeout):
        if self.zmq.poll(timeout, zmq.POLLIN) == 0:
            return None
        return self.zmq.recv_multipart()


def main():
    sockets = {}
    say({"version": zmq.zmq_version()})
    for line in sys.stdin:
        job = json.loads(line)
        name = job["socket"]
        if name not in sockets:
            sockets[name] = Socket()
        sockets[name].jobs.put(job)


main()
os._exit(0)  # Threads may still wait in a socket; no cleanup is necessary.
