/** The login of the MQTT client: versions, refusals, and servers that speak another protocol. */
import assert from "node:assert/strict";
import net from "node:net";
import { describe, it } from "node:test";
import { dialFirst } from "../../../../lib/link/dial.ts";
import { ClosedError, UnreachableError } from "../../../../lib/errors.ts";
import type { Attempt } from "../../../../lib/link/protocol.ts";
import type { LinkOptions } from "../../../../lib/link/options.ts";
import type { MqttConnection } from "../../../../lib/mqtt/client/connection.ts";
import { login } from "../../../../lib/mqtt/client/login.ts";
import { protocolOf } from "../../../../lib/mqtt/client/protocol.ts";
import { Session, type SessionOptions } from "../../../../lib/mqtt/client/session.ts";
import { parseMqttUrl } from "../../../../lib/mqtt/client/url.ts";
import { CONNACK, CONNECT, DISCONNECT, PINGREQ } from "../../../../lib/mqtt/packet_type.ts";
import type { ByteStream, StreamSink } from "../../../../lib/transport/stream.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { encodePackets } from "../../../support/mqtt_packets.ts";
import { packetsOf, serveMqtt } from "../../../support/scripted_mqtt.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";

function dial(url: string, options: SessionOptions & LinkOptions = {}): Promise<MqttConnection> {
  return dialFirst(protocolOf(new Session(options)), parseMqttUrl(url).addresses, options);
}

/** Runs `work` with the URL of a server that answers the first bytes with `bytes`, and then ends the stream. */
async function withAnswer(bytes: string | undefined, work: (url: string) => Promise<void>): Promise<void> {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.once("data", () => bytes === undefined ? undefined : socket.end(bytes, "latin1"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`mqtt://me:secret@127.0.0.1:${(server.address() as net.AddressInfo).port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

describe("MQTT login", () => {
  it("login - MQTT 5.0 with credentials, a random client identifier and a new session", () =>
    serveMqtt({}, async (url, connections) => {
      const connection = await dial(url.replace("//", "//me:p%20w@"));
      assert.deepEqual([connection.version, connection.server], [5, "an MQTT 5.0 server"]);
      const [connect] = packetsOf(connections[0]!, CONNECT);
      assert.match(connect!.clientId, /^mqcat[0-9a-f]{16}$/);
      assert.deepEqual([connect!.cleanStart, connect!.keepAlive, connect!.userName], [true, 30, "me"]);
      assert.equal(new TextDecoder().decode(connect!.password), "p w");
      await connection.close();
    }));

  it("login - falls back to MQTT 3.1.1 after a refusal of the version, and remembers it", () =>
    serveMqtt(
      { connack: (_, { value }) => ({ code: (value as { version: number }).version === 5 ? 1 : 0 }) },
      async (url, connections) => {
        const session = new Session({ clientId: "own" });
        for (let i = 0; i < 2; i++) {
          const connection = await dialFirst(protocolOf(session), parseMqttUrl(url).addresses);
          assert.equal(connection.version, 4);
          await connection.close();
        }
        const connects = connections.map((served) => packetsOf(served, CONNECT)[0]!);
        assert.deepEqual(connects.map(({ version }) => version), [5, 4, 4]);
        assert.ok(connects.every(({ clientId, cleanStart }) => clientId === "own" && cleanStart));
      },
    ));

  it("login - falls back when the server closes the connection instead of answering", () =>
    serveMqtt({ connack: ({ number }) => number === 0 ? null : {} }, async (url) => {
      const connection = await dial(url);
      assert.equal(connection.version, 4);
      await connection.close();
    }));

  it("login - a server that has accepted a version and then closes a connection was cut off, and does not get an older one", () =>
    serveMqtt({
      on(served, packet) {
        if (packet.type !== CONNECT || served.number !== 1) return false;
        served.socket.destroy();
        return true;
      },
    }, async (url, connections) => {
      const session = new Session({ sessionExpiry: 60 });
      const protocol = protocolOf(session);
      const { addresses } = parseMqttUrl(url);
      await (await dialFirst(protocol, addresses)).close();
      await assert.rejects(dialFirst(protocol, addresses), UnreachableError);
      const connection = await dialFirst(protocol, addresses);
      assert.equal(connection.version, 5);
      await connection.close();
      assert.equal(connections.length, 3);
    }));

  it("login - a version that is refused is not replaced if it was asked for", () =>
    serveMqtt({ connack: () => ({ code: 0x84 }) }, async (url, connections) => {
      await assert.rejects(dial(url, { version: 5 }), {
        name: "IncompatiblePeerError",
        message: /does not speak MQTT 5\.0/,
      });
      assert.equal(connections.length, 1);
    }));

  const refusals: [code: number, version: 4 | 5, name: string, words: RegExp][] = [
    [0x86, 5, "RefusedError", /refused for user 'me': wrong user or password.*0x86/],
    [0x87, 5, "RefusedError", /refused for user 'me'/],
    [5, 4, "RefusedError", /refused for user 'me'.*return code 5/],
    [4, 4, "RefusedError", /refused for user 'me'/],
    [2, 4, "RefusedError", /client identifier 'own'/],
    [3, 4, "UnreachableError", /refused the connection/],
    [0x88, 5, "UnreachableError", /refused the connection \(0x88/],
    [0x9d, 5, "RefusedError", /0x9d \(server moved\): there/],
  ];
  for (const [code, version, name, message] of refusals) {
    it(`login - the code ${code} of version ${version} is a ${name}`, () => {
      const properties = version === 5 && code === 0x9d ? { reasonString: "there" } : {};
      return serveMqtt({ connack: () => ({ code, properties }) }, async (url, connections) => {
        const own = url.replace("//", "//me:secret@");
        await assert.rejects(dial(own, { clientId: "own", version }), (error: Error) => {
          assert.equal(error.name, name);
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /secret/);
          return true;
        });
        assert.equal(connections.length, 1);
      });
    });
  }

  const others: [name: string, answer: string, words: RegExp][] = [
    ["an AMQP broker", "AMQP\0\0\x09\x01", /it is an AMQP broker/],
    ["an HTTP server", "HTTP/1.1 400 Bad Request\r\n\r\n", /it is an HTTP server/],
    ["a STOMP broker", "ERROR\nmessage:x\n\n\0", /it is a STOMP broker/],
    ["an SSH server", "SSH-2.0-OpenSSH_9.2\r\n", /it is an SSH server/],
    [
      "a ZeroMQ socket",
      "\xff\0\0\0\0\0\0\0\x01\x7f",
      /it is a ZeroMQ socket \(its endpoints begin with tcp:\/\/\)/,
    ],
    ["a TLS server", "\x15\x03\x01\0\x02\x02\x46", /it is a TLS server \(its URLs begin with mqtts:\/\/\)/],
    ["a long answer", "x".repeat(100), /begins with "x{40}"$/],
    ["another packet than CONNACK", "\xd0\0", /does not speak MQTT: its answer begins with "Ð\\u0000"/],
    ["an unknown server", "-ERR unknown command\r\n", /begins with "-ERR unknown command/],
  ];
  for (const [name, answer, message] of others) {
    it(`login - ${name} is recognized`, () =>
      withAnswer(answer, async (url) => {
        await assert.rejects(dial(url), { name: "IncompatiblePeerError", message });
      }));
  }

  it("login - other packets after the CONNACK wait for the connection, and a broken CONNACK is an error", async () => {
    await serveMqtt({
      on(served, packet) {
        if (packet.type !== CONNECT) return false;
        served.send({ type: CONNACK, value: { sessionPresent: true, code: 0, properties: {} } }, {
          type: PINGREQ,
          value: null,
        });
        return true;
      },
    }, async (url) => {
      const connection = await dial(url);
      assert.equal(connection.sessionPresent, true);
      connection.begin();
      assert.match((await connection.closed)!.message, /sent PINGREQ/);
    });
    await withAnswer("\x20\x01\x00", async (url) => {
      await assert.rejects(dial(url, { version: 5 }), { name: "MqttError", code: "ERR_PROTOCOL" });
    });
  });

  it("login - all of the versions are named when none is accepted", () =>
    serveMqtt({ connack: () => ({ code: 1 }) }, async (url, connections) => {
      await assert.rejects(dial(url), {
        name: "IncompatiblePeerError",
        message: "The server does not speak MQTT 5.0 or MQTT 3.1.1 (CONNACK 1)",
      });
      assert.deepEqual(connections.map(({ version }) => version), [5, 4]);
    }));

  it("login - a user and a password are sent if they are given", async () => {
    const cases: [user: string | undefined, password: string | undefined, sent: (string | undefined)[]][] = [
      [undefined, undefined, [undefined, undefined]],
      ["me", undefined, ["me", undefined]],
      ["", "p", ["", "p"]],
      ["me", "", ["me", ""]],
      // MQTT 3.1.1 has no password without a name.
      [undefined, "p", ["", "p"]],
    ];
    for (const version of [5, 4] as const) {
      for (const [user, password, sent] of cases) {
        await serveMqtt({}, async (url, connections) => {
          const addresses = parseMqttUrl(url).addresses.map((address) => ({ ...address, user, password }));
          const connection = await dialFirst(protocolOf(new Session({ version })), addresses);
          const [connect] = packetsOf(connections[0]!, CONNECT);
          const text = connect!.password === undefined
            ? undefined
            : new TextDecoder().decode(connect!.password);
          assert.deepEqual([connect!.userName, text], sent);
          await connection.close();
        });
      }
    }
  });

  it("login - a refusal of the user is not asked again in another version", () =>
    serveMqtt({ connack: () => ({ code: 0x87 }) }, async (url, connections) => {
      await assert.rejects(dial(url), { code: "ERR_AUTH" });
      assert.deepEqual(connections.map(({ version }) => version), [5]);
    }));

  it("login - a CONNACK in several parts is one, also if the first one is empty", async () => {
    const connack = encodePackets(5, [{
      type: CONNACK,
      value: { sessionPresent: true, code: 0, properties: { receiveMaximum: 9 } },
    }]);
    const stream = new ScriptedStream();
    const attempt = { dial: () => Promise.resolve(stream), remaining: () => 5000 } as unknown as Attempt;
    const session = new Session({ clientId: "me" });
    const logging = login(attempt, parseMqttUrl("mqtt://localhost").addresses[0]!, session);
    await waitFor(() => stream.sent.length > 0);
    stream.feed(new Uint8Array(0));
    for (const byte of connack) stream.feed(Uint8Array.of(byte));
    const { version, connack: got } = await deadline(logging, 5000, "the login");
    assert.deepEqual([version, got.sessionPresent, got.properties], [5, true, { receiveMaximum: 9 }]);
    stream.close();
  });

  it("login - what each version says of the session", async () => {
    const cases: [session: SessionOptions, cleanStart: boolean, properties: object][] = [
      [{ version: 5, receiveMaximum: 7 }, true, { receiveMaximum: 7 }],
      [{ version: 5, sessionExpiry: 60 }, true, { receiveMaximum: 1000, sessionExpiryInterval: 60 }],
      [{ version: 5, clientId: "me", sessionExpiry: 60 }, false, {
        receiveMaximum: 1000,
        sessionExpiryInterval: 60,
      }],
      [{ version: 4, clientId: "me", sessionExpiry: 60 }, false, {}],
      [{ version: 5, sessionExpiry: 1 }, true, { receiveMaximum: 1000, sessionExpiryInterval: 1 }],
      [{ version: 4 }, true, {}],
    ];
    for (const [session, cleanStart, properties] of cases) {
      await serveMqtt({}, async (url, connections) => {
        const connection = await dial(url.replace("//", "//:pass@"), session);
        const [connect] = packetsOf(connections[0]!, CONNECT);
        assert.deepEqual([connect!.cleanStart, { ...connect!.properties }], [cleanStart, properties]);
        // A password needs a user name, if only an empty one.
        assert.deepEqual([connect!.userName, new TextDecoder().decode(connect!.password)], ["", "pass"]);
        assert.equal(
          connection.server,
          session.version === 5 ? "an MQTT 5.0 server" : "an MQTT 3.1.1 server",
        );
        await connection.close();
      });
    }
  });

  it("login - one deadline for a server that does not answer, and for one that ends every connection", async () => {
    await withAnswer(undefined, async (url) => {
      await assert.rejects(dial(url, { handshakeTimeout: 200 }), { name: "HandshakeTimeoutError" });
    });
    await withAnswer("", async (url) => {
      await assert.rejects(dial(url), { name: "UnreachableError", message: /instead of answering/ });
    });
  });

  it("login - a signal ends it", () =>
    withAnswer(undefined, async (url) => {
      const abort = new AbortController();
      const attempt = dial(url, { signal: abort.signal });
      abort.abort(new Error("stopped"));
      await assert.rejects(attempt, { message: "stopped" });
    }));

  it("login - writes nothing before the system has taken CONNECT, even if the answer is there", async () => {
    const writes: Uint8Array[] = [];
    let sink!: StreamSink;
    let end!: () => void;
    const closed = new Promise<undefined>((resolve) => end = () => resolve(undefined));
    const stream: ByteStream = {
      local: "here",
      remote: "there",
      closed,
      taken: 0,
      attach: (to) => sink = to,
      write: (bytes) => void writes.push(bytes),
      pause() {},
      resume() {},
      end() {},
      close: () => end(),
    };
    let isLoggedIn = false;
    const connecting = dial("mqtt://host", { dial: () => Promise.resolve(stream) }).then((connection) => {
      isLoggedIn = true;
      return connection;
    });
    await waitFor(() => writes.length === 1);
    // The answer comes byte by byte, after a chunk without any.
    const connack = encodePackets(5, [{
      type: CONNACK,
      value: { sessionPresent: true, code: 0, properties: {} },
    }]);
    for (let i = 0; i <= connack.length; i++) sink.onData(connack.subarray(Math.max(0, i - 1), i));
    for (let i = 0; i < 10; i++) await Promise.resolve();
    assert.equal(isLoggedIn, false);
    sink.onDrain();
    const connection = await connecting;
    assert.equal(connection.sessionPresent, true);
    connection.abort();
  });
});

describe("MQTT connection", () => {
  it("reply - on a lost connection fails with the loss, because another connection may help; after a close it is closed", () =>
    serveMqtt({}, async (url, connections) => {
      const lost = await dial(url);
      lost.begin();
      connections[0]!.socket.destroy();
      await lost.closed;
      await assert.rejects(lost.reply(1), UnreachableError);
      const closed = await dial(url);
      closed.begin();
      await closed.close();
      await assert.rejects(closed.reply(1), ClosedError);
    }));

  it("keep alive - an idle connection sends PINGREQ, and the answers keep it", () =>
    serveMqtt({}, async (url, connections) => {
      const connection = await dial(url, { keepAlive: 1 });
      connection.begin();
      await waitFor(() => packetsOf(connections[0]!, PINGREQ).length >= 3);
      assert.equal(connection.over, false);
      await connection.close();
      assert.equal(await connection.closed, undefined);
    }));

  it("keep alive - a server that is silent for twice the time is lost, also if it sets the time", () =>
    serveMqtt(
      {
        connack: () => ({ properties: { serverKeepAlive: 1 } }),
        on: (_, packet) => packet.type === PINGREQ,
      },
      async (url) => {
        const connection = await dial(url, { keepAlive: 1000 });
        connection.begin();
        assert.match((await connection.closed)!.message, /sent nothing for 2 s/);
      },
    ));

  it("end - a DISCONNECT of the server is an error with its reason; junk is reported to the server", () =>
    serveMqtt({}, async (url, connections) => {
      const connection = await dial(url);
      connection.begin();
      connections[0]!.send({
        type: DISCONNECT,
        value: { reasonCode: 0x8b, properties: { reasonString: "going down" } },
      });
      assert.match((await connection.closed)!.message, /0x8b \(server shutting down\): going down/);
      const second = await dial(url);
      second.begin();
      connections[1]!.send({ type: PINGREQ, value: null });
      assert.match((await second.closed)!.message, /sent PINGREQ, which only a client may send/);
      await waitFor(() => packetsOf(connections[1]!, DISCONNECT)[0]?.reasonCode === 0x82);
    }));
});
