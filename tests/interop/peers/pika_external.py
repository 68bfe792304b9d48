# Logs in with pika by the certificate of a client. Usage: python3 pika_external.py PORT CA CERT KEY
import ssl
import sys

import pika

port, ca, cert, key = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if cert:
    context.load_cert_chain(cert, key)
connection = pika.BlockingConnection(pika.ConnectionParameters(
    "127.0.0.1",
    int(port),
    credentials=pika.credentials.ExternalCredentials(),
    ssl_options=pika.SSLOptions(context, "localhost"),
))
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare("by certificate")
channel.basic_publish("", "by certificate", b"hello")
print(channel.basic_get("by certificate", auto_ack=True)[2].decode())
connection.close()
