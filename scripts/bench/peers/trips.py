"""Round trips with pyzmq, as trips.ts: trips.py rep ENDPOINT | trips.py req ENDPOINT COUNT"""
import sys
import time

import zmq

WARM_UP = 2000
role, endpoint = sys.argv[1:3]
socket = zmq.Context().socket(zmq.REP if role == "rep" else zmq.REQ)
if role == "rep":
    socket.bind(endpoint)
    print("ready", file=sys.stderr, flush=True)
    while True:
        socket.send(socket.recv())
socket.connect(endpoint)
body = b"x" * 64


def trips(count):
    for _ in range(count):
        socket.send(body)
        socket.recv()


count = int(sys.argv[3])
trips(WARM_UP)
began = time.perf_counter()
trips(count)
print((time.perf_counter() - began) * 1e6 / count)
