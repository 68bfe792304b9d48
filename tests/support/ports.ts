/** Ports for programs that cannot listen at port 0, and for tests in which the connecting end starts first. */
import net from "node:net";

/**
 * A free port below the range of ephemeral ports: no other process gets it by chance, and no connection uses it as its
 * source port.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await new Promise<boolean>((resolve) => {
      const server = net.createServer().once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
