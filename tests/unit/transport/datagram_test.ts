/** UDP sockets, and multicast on the loopback interface. */
import assert from "node:assert/strict";
import os from "node:os";
import { describe, it } from "node:test";
import {
  aimDatagrams,
  bindDatagrams,
  type DatagramAddress,
  type DatagramSink,
  type DatagramSocket,
  endpointOf,
} from "../../../lib/transport/datagram.ts";
import { type HostEndpoint, parseEndpoint } from "../../../lib/transport/endpoint.ts";
import { waitFor } from "../../support/helpers.ts";

/** A sink that keeps the datagrams. */
class Log implements DatagramSink, AsyncDisposable {
  readonly came: string[] = [];
  readonly from: DatagramAddress[] = [];
  readonly failures: Error[] = [];
  sent = 0;

  constructor(readonly socket: DatagramSocket) {
    socket.attach(this);
  }

  onDatagram(bytes: Uint8Array, from: DatagramAddress): void {
    this.came.push(new TextDecoder().decode(bytes));
    this.from.push(from);
  }

  onSent(error: Error | undefined): void {
    this.sent++;
    if (error !== undefined) this.failures.push(error);
  }

  onError(error: Error): void {
    this.failures.push(error);
  }

  async send(text: string, to?: DatagramAddress): Promise<void> {
    const { sent } = this;
    this.socket.send(new TextEncoder().encode(text), to);
    await waitFor(() => this.sent > sent);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
    this.socket.close();
    await this.socket.closed;
  }
}

const udp = (text: string) => parseEndpoint(text) as HostEndpoint;
const bind = async (text: string) => new Log(await bindDatagrams(udp(text)));
const aim = async (text: string) => new Log(await aimDatagrams(udp(text)));

const lo = os.networkInterfaces()["lo"]?.[0]?.address === "127.0.0.1";
/** A group of the range for documentation (RFC 5771, 9.2). */
const GROUP = "233.252.0.17";

describe("datagram", () => {
  it("datagram - each arrives whole, in both directions, also an empty one", async () => {
    await using server = await bind("udp://127.0.0.1:0");
    await using client = await aim(`udp://127.0.0.1:${server.socket.endpoint.port}`);
    for (const text of ["one", "", "x".repeat(8192)]) {
      await client.send(text);
      await waitFor(() => server.came.at(-1) === text);
    }
    await server.send("back", server.from[0]);
    await waitFor(() => client.came.length === 1);
    assert.deepEqual(client.came, ["back"]);
    assert.equal(endpointOf(client.from[0]!), `udp://127.0.0.1:${server.socket.endpoint.port}`);
    assert.deepEqual([...server.failures, ...client.failures], []);
  });

  it("datagram - a failed send is an error, and the socket continues", async () => {
    await using server = await bind("udp://127.0.0.1:0");
    await using client = await aim(`udp://127.0.0.1:${server.socket.endpoint.port}`);
    await client.send("x".repeat(70_000));
    assert.match(client.failures[0]!.message, /^Cannot send to udp:\/\/127\.0\.0\.1:\d+: /);
    await client.send("small");
    await waitFor(() => server.came.length === 1);
  });

  it("datagram - an address that the system refuses is an error at once, or at the first send", async () => {
    // Only a socket with SO_BROADCAST may send there.
    const refused = await aim("udp://255.255.255.255:9").then(async (client) => {
      await client.send("one");
      await client[Symbol.asyncDispose]();
      return client.failures[0];
    }, (error) => error);
    assert.match(refused.message, /^Cannot (connect|send) to udp:\/\/255\.255\.255\.255:9: /);
  });

  it("datagram - a port in use, an unknown interface and an unknown host are errors that name them", async () => {
    await using server = await bind("udp://127.0.0.1:0");
    const { port } = server.socket.endpoint;
    await assert.rejects(bind(`udp://127.0.0.1:${port}`), /^AddressInUseError: Cannot bind udp:.*in use/);
    await assert.rejects(
      bind(`udp://nosuchnic;${GROUP}:0`),
      /^EndpointError: Cannot bind udp:.*there is no interface 'nosuchnic' with an IPv4 address/,
    );
    await assert.rejects(
      bind("udp://no-such-host.invalid:0"),
      /^EndpointError: Cannot bind .*does not resolve/,
    );
    await assert.rejects(aim(`udp://lo;127.0.0.1:${port}`), /'127.0.0.1' is not a multicast group/);
    await assert.rejects(aim("udp://127.0.0.1:0"), /port 0 can be bound, not connected to/);
    await assert.rejects(aim("udp://no-such-host.invalid:1"), /'no-such-host.invalid' does not resolve/);
  });

  for (const nic of ["lo", "127.0.0.1"]) {
    it(`multicast - all members of the group receive it, through ${nic}`, {
      skip: lo ? false : "there is no 'lo'",
    }, async () => {
      await using first = await bind(`udp://${nic};${GROUP}:0`);
      const where = `udp://${nic};${GROUP}:${first.socket.endpoint.port}`;
      await using second = await bind(where);
      await using sender = await aim(where);
      await sender.send("to all");
      await waitFor(() => first.came.length === 1 && second.came.length === 1);
      assert.deepEqual([first.came, second.came], [["to all"], ["to all"]]);
      assert.equal(first.from[0]!.address, "127.0.0.1");
    });
  }
});
