import type net from "node:net";
import { Duplex } from "node:stream";

/**
 * Whether a TLS socket needs a ground of ours. Deno reads a TLS socket on while it is paused, and keeps all that
 * comes in memory; so there we hold the TCP socket below it, and pause that one.
 */
export const needsGround = "Deno" in globalThis;

/** The TCP socket `tcp` as what a TLS socket stands on: encrypted bytes pass only while `tcp` is not paused. */
export function ground(tcp: net.Socket): Duplex {
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
