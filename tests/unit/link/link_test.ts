/** Links: several hosts, deadlines, reconnects, permanent failures. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CertificateError, UnreachableError } from "../../../lib/errors.ts";
import { AwayError } from "../../../lib/link/away.ts";
import { dialFirst, patiently } from "../../../lib/link/dial.ts";
import { Link, type LinkUser } from "../../../lib/link/link.ts";
import type { LinkEvent, LinkOptions } from "../../../lib/link/options.ts";
import type { Endpoint } from "../../../lib/transport/endpoint_types.ts";
import type { ByteStream } from "../../../lib/transport/stream.ts";
import { listen } from "../../../lib/transport/transport.ts";
import { waitFor } from "../../support/helpers.ts";
import { fakeAddress, FakeConnection, FakeProtocol, PERMANENT, TEMPORARY } from "./fake_protocol.ts";

const HOSTS = ["one", "two", "three"].map(fakeAddress);
const FAST = { reconnect: { first: 1, longest: 4 } };

/** A link to one host, its events, and what its user saw. */
function linked(
  protocol: FakeProtocol,
  options: LinkOptions = {},
  user: Partial<LinkUser<FakeConnection>> = {},
  hosts = [fakeAddress("host")],
) {
  const seen: string[] = [];
  const events: LinkEvent[] = [];
  const link = new Link(protocol, hosts, {
    ...FAST,
    onEvent: (event) => void events.push(event),
    ...options,
  }, {
    onUp: () => Promise.resolve(void seen.push("up")),
    onDown: () => void seen.push("down"),
    onFailure: (error) => void seen.push(`failure: ${error.message}`),
    ...user,
  });
  return { link, seen, events };
}

describe("dial", () => {
  it("hosts - are tried in order until one accepts", async () => {
    const protocol = new FakeProtocol(TEMPORARY, TEMPORARY);
    const events: LinkEvent[] = [];
    const connection = await dialFirst(protocol, HOSTS, { onEvent: (event) => void events.push(event) });
    assert.deepEqual(protocol.attempts, ["one", "two", "three"]);
    assert.equal(connection, protocol.connections[0]);
    assert.deepEqual(events, [{ type: "connected", broker: "fake://three", server: "a fake" }]);
  });

  it("hosts - a permanent error ends the search; else the error names all failures", async () => {
    const protocol = new FakeProtocol(TEMPORARY, PERMANENT);
    await assert.rejects(dialFirst(protocol, HOSTS), PERMANENT);
    assert.deepEqual(protocol.attempts, ["one", "two"]);
    await assert.rejects(dialFirst(new FakeProtocol(PERMANENT, TEMPORARY), HOSTS.slice(1)), PERMANENT);
    const refused = new UnreachableError("two refused");
    await assert.rejects(
      dialFirst(new FakeProtocol(TEMPORARY, refused), HOSTS.slice(0, 2)),
      /^UnreachableError: temporary; two refused$/,
    );
    await assert.rejects(dialFirst(new FakeProtocol(), []), /list of brokers is empty/);
  });

  it("shuffle - each host is the first one at times, and all are tried", async () => {
    const firsts = new Set<string>();
    for (let i = 0; i < 100; i++) {
      const protocol = new FakeProtocol(TEMPORARY, TEMPORARY);
      await dialFirst(protocol, HOSTS, { shuffle: true });
      assert.deepEqual([...protocol.attempts].sort(), ["one", "three", "two"]);
      firsts.add(protocol.attempts[0]!);
    }
    assert.equal(firsts.size, 3);
  });

  it("order - is asked for at each attempt", async () => {
    const protocol = new FakeProtocol(TEMPORARY);
    await dialFirst(protocol, HOSTS, { order: (hosts) => Promise.resolve(hosts.slice(1)) });
    assert.deepEqual(protocol.attempts, ["two", "three"]);
  });

  it("names - all addresses of a name are tried, and it is resolved again at each call", async () => {
    await using listener = await listen("tcp://127.0.0.2:0", (stream) => stream.close());
    const { port } = new URL(listener.endpoint);
    const host = { name: "one", endpoint: { scheme: "tcp", host: "one", port: Number(port) } } as const;
    const seen: string[] = [];
    const protocol = new FakeProtocol();
    protocol.login = async ({ dial }) => {
      const stream = await dial();
      seen.push(stream.remote);
      stream.close();
      return new FakeConnection();
    };
    const found = [["127.0.0.1", "127.0.0.2"], ["127.0.0.2"], ["127.0.0.1"]];
    const resolve = (name: string) => Promise.resolve(name === "one" ? found.shift()! : []);
    await dialFirst(protocol, [host], { resolve });
    await dialFirst(protocol, [host], { resolve });
    assert.deepEqual(seen, [listener.endpoint, listener.endpoint]);
    await assert.rejects(dialFirst(protocol, [host], { resolve }), /Cannot connect to tcp:\/\/one:/);
  });

  it("names - are tried as often as they have addresses; an address, or a WebSocket, is not resolved here", async () => {
    await using listener = await listen("tcp://127.0.0.1:0", (stream) => stream.close());
    const port = Number(new URL(listener.endpoint).port);
    const cases: [
      scheme: "tcp" | "tls" | "ws",
      host: string,
      found: string[],
      logins: number,
      lookups: number,
    ][] = [
      ["tcp", "one", [], 1, 1],
      ["tcp", "one", ["127.0.0.1"], 1, 1],
      ["tls", "one", ["127.0.0.1", "127.0.0.2"], 2, 1],
      ["tcp", "one", ["127.0.0.1", "127.0.0.1", "127.0.0.1"], 3, 1],
      ["tcp", "127.0.0.1", ["127.0.0.2"], 1, 0],
      ["tls", "::1", ["127.0.0.2"], 1, 0],
      ["ws", "localhost", ["127.0.0.2"], 1, 0],
    ];
    for (const [scheme, host, found, logins, lookups] of cases) {
      const protocol = new FakeProtocol();
      let lookedUp = 0;
      let tries = 0;
      protocol.login = async ({ dial }) => {
        tries++;
        // Whether anything answers there does not matter.
        await dial().then((stream) => stream.close(), () => {});
        throw TEMPORARY;
      };
      const endpoint = { scheme, host, port, ...(scheme === "ws" ? { path: "/" } : {}) } as Endpoint;
      const resolve = () => {
        lookedUp++;
        return Promise.resolve(found);
      };
      await assert.rejects(dialFirst(protocol, [{ name: "one", endpoint }], { resolve }), TEMPORARY);
      assert.deepEqual([tries, lookedUp], [logins, lookups], `${scheme} ${host} ${found}`);
    }
  });

  it("deadline - dialling and the login share it", async () => {
    const protocol = new FakeProtocol(async (attempt) => {
      assert.ok(attempt.remaining() > 50 && attempt.remaining() <= 60);
      await attempt.dial();
    });
    const dial = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    await assert.rejects(
      dialFirst(protocol, HOSTS.slice(0, 1), { handshakeTimeout: 60, dial }),
      /fake:\/\/one did not answer within 0\.06 s/,
    );
  });

  it("callbacks - the error of one is thrown as it is, and no other host is tried", async () => {
    const protocol = new FakeProtocol();
    const error = new Error("mine");
    const failing = dialFirst(protocol, HOSTS, {
      onEvent() {
        throw error;
      },
    });
    await assert.rejects(failing, (thrown) => thrown === error);
    assert.match((await protocol.connections[0]!.closed)!.message, /aborted/);
  });

  it("patience - temporary errors are repeated, permanent and foreign ones are not", async () => {
    const work = (...errors: Error[]) => async () => {
      const error = errors.shift();
      if (error !== undefined) throw error;
      return await Promise.resolve("done");
    };
    const isPermanent = (error: unknown) => error === PERMANENT;
    assert.equal(await patiently({ patience: 5000 }, isPermanent, work(TEMPORARY, TEMPORARY)), "done");
    await assert.rejects(patiently({ patience: 5000 }, isPermanent, work(PERMANENT)), PERMANENT);
    await assert.rejects(patiently({ patience: 5000 }, isPermanent, work(new Error("bug"))), /bug/);
    await assert.rejects(patiently({}, isPermanent, work(TEMPORARY)), TEMPORARY);
  });

  it("patience - ends with the first failure at or after its end; what is away has its own, and is reported", async () => {
    const { random } = Math;
    const { now } = performance;
    Math.random = () => 0; // No pauses.
    let time = 1000;
    performance.now = () => time;
    try {
      const away = new AwayError("away");
      const cases: [options: LinkOptions, error: Error, tries: number, reports: number][] = [
        [{ patience: 100 }, TEMPORARY, 2, 0],
        [{ patience: 101 }, TEMPORARY, 3, 0],
        [{ patience: 100 }, away, 2, 1],
        [{ patience: 100, awayPatience: 150 }, away, 3, 2],
        [{ patience: 100, awayPatience: 0 }, away, 1, 0],
        [{ awayPatience: 150 }, TEMPORARY, 1, 0],
        [{ awayPatience: 150 }, away, 3, 2],
        [{ patience: 100, signal: AbortSignal.abort() }, TEMPORARY, 1, 0],
      ];
      for (const [options, error, expected, reports] of cases) {
        let tries = 0;
        const events: LinkEvent[] = [];
        const failing = patiently(
          { ...options, onEvent: (event) => void events.push(event) },
          () => false,
          () => {
            tries++;
            time += 50;
            return Promise.reject(error);
          },
        );
        await assert.rejects(failing, error);
        assert.deepEqual([tries, events], [expected, Array(reports).fill({ type: "away", error: away })]);
      }
    } finally {
      Math.random = random;
      performance.now = now;
    }
  });

  it("certificates - one that is wrong excludes its host only, and is the error if all are", async () => {
    const wrong = (name: string) => new CertificateError(`${name} has a wrong certificate`);
    const protocol = new FakeProtocol(wrong("One"));
    protocol.isPermanent = () => true;
    await dialFirst(protocol, HOSTS);
    assert.deepEqual(protocol.attempts, ["one", "two"]);
    const none = new FakeProtocol(wrong("One"), wrong("Two"), wrong("One"));
    await assert.rejects(dialFirst(none, HOSTS), {
      code: "ERR_CERTIFICATE",
      message: "One has a wrong certificate; two has a wrong certificate",
    });
    await assert.rejects(dialFirst(new FakeProtocol(wrong("One"), TEMPORARY), HOSTS.slice(1)), {
      code: "ERR_UNREACHABLE",
      message: "One has a wrong certificate; temporary",
    });
    await assert.rejects(dialFirst(new FakeProtocol(wrong("One"), wrong("One")), HOSTS.slice(1)), {
      code: "ERR_CERTIFICATE",
      message: "One has a wrong certificate",
    });
  });

  it("deadline - that of the options, else that of the address, else ten seconds", async () => {
    for (
      const [options, own, expected] of [
        [{}, undefined, 10_000],
        [{}, 3000, 3000],
        [{ handshakeTimeout: 2000 }, 3000, 2000],
      ] as const
    ) {
      let remaining = 0;
      const protocol = new FakeProtocol((attempt) => {
        remaining = attempt.remaining();
        return Promise.resolve();
      });
      const address = { ...HOSTS[0]!, connectionTimeout: own };
      await dialFirst(protocol, [address], options);
      assert.ok(remaining > expected - 1000 && remaining <= expected, `${remaining} of ${expected}`);
    }
  });

  it("signal - ends the login of the current host with its reason, and no other host is tried", async () => {
    const abort = new AbortController();
    let closed = false;
    const stream = { close: () => void (closed = true) } as unknown as ByteStream;
    const protocol = new FakeProtocol(async (attempt) => {
      await attempt.dial();
      abort.abort(new Error("stopped"));
      throw TEMPORARY;
    });
    await assert.rejects(
      dialFirst(protocol, HOSTS, { signal: abort.signal, dial: () => Promise.resolve(stream) }),
      /^Error: stopped$/,
    );
    assert.deepEqual([protocol.attempts, closed], [["one"], true]);
    const late = new FakeProtocol(async (attempt) => void await attempt.dial());
    await assert.rejects(dialFirst(late, HOSTS, { signal: abort.signal }), /stopped/);
  });
});

describe("link", () => {
  it("reconnect - after growing pauses, and the user is set up again", async () => {
    const protocol = new FakeProtocol(undefined, TEMPORARY, TEMPORARY);
    const { link, seen, events } = linked(protocol);
    await link.start();
    protocol.connections[0]!.abort(TEMPORARY);
    await waitFor(() => seen.length === 3);
    assert.deepEqual(seen, ["up", "down", "up"]);
    const told = events.map((event) => event.type === "retrying" ? event.delay : event.type);
    assert.deepEqual(told, ["connected", "lost", 2, 4, "connected"]);
    await waitFor(() => link.connection === protocol.connections[1]);
    await link.close();
    assert.deepEqual([seen.at(-1), link.failure, protocol.connections[1]!.isClosed], [
      "down",
      undefined,
      true,
    ]);
  });

  it("reconnect - the pauses also grow while new connections are lost at once", async () => {
    for (const [longest, delays] of [[60_000, [8, 16, 64]], [4, [2, 4, 2]]] as const) {
      const ups = longest > 4 ? [undefined, undefined] : [];
      const protocol = new FakeProtocol(undefined, ...ups, TEMPORARY, TEMPORARY, undefined, TEMPORARY);
      const { link, events } = linked(protocol, { reconnect: { first: 1, longest } });
      await link.start();
      const retries = () => events.flatMap((event) => event.type === "retrying" ? [event.delay] : []);
      const lose = async (count: number) => {
        await waitFor(() => protocol.connections.length === count && link.connection !== undefined);
        if (longest === 4) await new Promise((resolve) => setTimeout(resolve, 10));
        protocol.connections[count - 1]!.abort();
      };
      for (let i = 1; i <= ups.length + 2; i++) await lose(i);
      await waitFor(() => retries().length === 3);
      assert.deepEqual(retries(), delays);
      await link.close();
    }
  });

  it("failure - a permanent error ends the link, when it closes a connection or refuses the next one", async () => {
    for (const script of [[undefined, PERMANENT], [undefined]]) {
      const protocol = new FakeProtocol(...script);
      const { link, seen } = linked(protocol);
      await link.start();
      protocol.connections[0]!.abort(script.length === 2 ? TEMPORARY : PERMANENT);
      while (link.failure === undefined) await link.changed.wait(5000);
      assert.equal(link.failure, PERMANENT);
      assert.deepEqual(seen, ["up", "down", "failure: permanent"]);
      await link.close();
    }
  });

  it("failure - an error of the user at the first connection is thrown, and the connection closed", async () => {
    const protocol = new FakeProtocol();
    const { link } = linked(protocol, {}, { onUp: () => Promise.reject(PERMANENT) });
    await assert.rejects(link.start(), PERMANENT);
    assert.equal(protocol.connections[0]!.isClosed, true);
  });

  it("failure - a callback that throws later ends the link with its error", async () => {
    const protocol = new FakeProtocol();
    const { link } = linked(protocol, {
      onEvent({ type }) {
        if (type === "lost") throw new Error("mine");
      },
    });
    await link.start();
    protocol.connections[0]!.abort(TEMPORARY);
    await waitFor(() => link.failure?.message === "mine");
    await link.close();
  });

  it("close - ends a pause at once, and the attempt after it", async () => {
    const protocol = new FakeProtocol();
    const { link, events } = linked(protocol, { reconnect: { first: 60_000, longest: 60_000 } });
    await link.start();
    protocol.connections[0]!.abort(TEMPORARY);
    await waitFor(() => events.at(-1)!.type === "lost");
    await link.close();
    assert.equal(protocol.attempts.length, 1);
  });

  it("signal - ends the first attempt only", async () => {
    const abort = new AbortController();
    const protocol = new FakeProtocol(() => Promise.reject(new Error("stream closed")));
    abort.abort(new Error("stopped"));
    await assert.rejects(linked(protocol, { signal: abort.signal }).link.start(), /stopped/);
    const later = new AbortController();
    const { link } = linked(protocol, { signal: later.signal });
    await link.start();
    later.abort(new Error("stopped"));
    protocol.connections[0]!.abort(TEMPORARY);
    await waitFor(() => protocol.connections.length === 2);
    await link.close();
  });

  it("set-up - a server that does not answer it is not waited for longer than the limit", async () => {
    const protocol = new FakeProtocol();
    // A pending reply rejects when its connection is closed.
    const onUp = async (connection: FakeConnection) => {
      throw await connection.closed;
    };
    const { link } = linked(protocol, { handshakeTimeout: 20 }, { onUp });
    await assert.rejects(link.start(), {
      code: "ERR_HANDSHAKE_TIMEOUT",
      message: "a fake did not answer the first requests after the login within 0.02 s",
    });
    await link.close();
  });

  it("reconnect - what is away at a host is looked for at the next one, round the list", async () => {
    const protocol = new FakeProtocol();
    let ups = 0;
    const { link } = linked(protocol, {}, {
      onUp: () => ++ups > 1 && ups < 6 ? Promise.reject(new AwayError("away")) : Promise.resolve(),
    }, HOSTS);
    await link.start();
    protocol.connections[0]!.abort(TEMPORARY);
    await waitFor(() => ups === 6);
    assert.deepEqual(protocol.attempts.map((url) => url.replace("fake://", "")), [
      "one",
      "one",
      "two",
      "three",
      "one",
      "two",
    ]);
    await link.close();
  });

  it("failure - an error of the user after a lost connection ends the link", async () => {
    const protocol = new FakeProtocol();
    const { link } = linked(protocol, {}, {
      onDown() {
        throw new Error("mine");
      },
    });
    await link.start();
    protocol.connections[0]!.abort(TEMPORARY);
    await waitFor(() => link.failure?.message === "mine");
    await link.close();
  });
});
