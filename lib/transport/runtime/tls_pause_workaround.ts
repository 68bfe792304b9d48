import type net from "node:net";
import { Duplex } from "node:stream";

/**
 * Whether backpressure needs a pause of the TCP socket below TLS. Deno continues to read a paused TLS socket, and buffers
 * all of it in memory.
 */
export const pausesBelowTls = "Deno" in globalThis;

/** Wraps a TCP socket for a TLS socket above it: encrypted bytes pass only while `tcp` is not paused. */
export function gatedByPause(tcp: net.Socket): Duplex {
  const duplex = new Duplex({
    allowHalfOpen: true,
    read: () => {},
    write: (chunk, _encoding, done) => void tcp.write(chunk, done),
    final: (done) => void tcp.end(done),
    destroy: (error, done) => {
      tcp.destroy();
      done(error);
    },
  });
  tcp.on("data", (chunk) => void duplex.push(chunk));
  tcp.on("end", () => void duplex.push(null));
  tcp.on("error", (error) => duplex.destroy(error));
  tcp.on("close", () => duplex.destroy());
  return duplex;
}
