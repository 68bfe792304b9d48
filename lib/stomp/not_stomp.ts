import { ProtocolError } from "../errors.ts";

/** Returns the error for the first bytes of a peer that does not speak STOMP. */
export function notStomp(bytes: Uint8Array): ProtocolError {
  // A TLS record: an alert or a handshake (RFC 8446, 5.1).
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 3) {
    return new ProtocolError("The peer speaks TLS: use stomps:// at both ends, or stomp:// at both ends");
  }
  // The signature of a ZMTP greeting (RFC 37, 2.1).
  if (bytes[0] === 0xff && (bytes.length < 10 || bytes[9] === 0x7f)) {
    return new ProtocolError(
      "The peer speaks ZMTP (ZeroMQ), not STOMP: a ZeroMQ socket has a tcp:// address",
    );
  }
  const text = new TextDecoder("latin1").decode(bytes);
  if (text.startsWith("AMQP")) {
    return new ProtocolError("The peer speaks AMQP, not STOMP: AMQP is usually at port 5672, STOMP at 61613");
  }
  if (/^HTTP\//.test(text)) {
    return new ProtocolError(
      "The peer speaks HTTP, not STOMP: STOMP is usually at port 61613; 15672 is RabbitMQ's HTTP API",
    );
  }
  if (/^([A-Z]+ \S* ?HTTP|(GET|PUT|POST|HEAD|OPTIONS|DELETE|CONNECT) )/.test(text)) {
    return new ProtocolError("The peer speaks HTTP, not STOMP: a browser needs STOMP over a WebSocket");
  }
  const line = text.split(/[\r\n]/)[0]!;
  const sent = /^[ -~]+$/.test(line)
    ? `'${line}'`
    : `bytes ${Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join(" ")}`;
  return new ProtocolError(`A frame begins with ${sent}: a STOMP command is expected, on a line of its own`);
}
