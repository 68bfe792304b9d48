#!/usr/bin/env python3
"""An echo client on the plain socket module. Usage: echo_client.py PORT [MESSAGE]; without a message it sends stdin, block by block."""

import socket
import sys

HOST = "127.0.0.1"
PORT = int(sys.argv[1])

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
    s.connect((HOST, PORT))
    if len(sys.argv) > 2:
        s.sendall(sys.argv[2].encode())
        data = s.recv(1024)
        print("Received", repr(data))
    else:
        while block := sys.stdin.buffer.read(8192):
            s.sendall(block)
            left = len(block)
            while left > 0:
                data = s.recv(left)
                if not data:
                    sys.exit("the server ended the conversation")
                sys.stdout.buffer.write(data)
                left -= len(data)
        s.shutdown(socket.SHUT_WR)
        if s.recv(1):
            sys.exit("more came back than was sent")
