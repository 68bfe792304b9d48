/** The login of the client of RabbitMQ's stream protocol. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { COMMAND } from "../../../../../lib/amqp/client/stream/commands.ts";
import { FRAME_MAX } from "../../../../../lib/amqp/client/stream/connection.ts";
import { deadline } from "../../../../support/helpers.ts";
import { BROKERS, connect, failsWith, loggedIn, settle } from "./server.ts";

describe("stream protocol: login", () => {
  it("login - the frames, the name of the server, and the limits of both sides", async () => {
    const cases = [[0, FRAME_MAX], [4096, 4096], [FRAME_MAX - 1, FRAME_MAX - 1], [FRAME_MAX + 1, FRAME_MAX]];
    for (const [frameMax, expected] of cases) {
      const { server, connection } = await loggedIn({ frameMax });
      assert.deepEqual(server.sent, [
        ["peerProperties", 1, 1, "product", "mqcat"],
        ["saslHandshake", 2],
        ["saslAuthenticate", 3, "PLAIN", "\0me\0secret"],
        ["tune", expected, 0],
        ["open", 4, "shop"],
      ]);
      assert.deepEqual([connection.frameMax, connection.server], [expected, "RabbitMQ 4.1"]);
      connection.abort();
    }
  });

  it("login - a refusal names the step and the reason", async () => {
    const cases = [
      [COMMAND.saslHandshake, 7, "ERR_AUTH", "login: the SASL mechanism is not supported"],
      [COMMAND.saslAuthenticate, 8, "ERR_AUTH", "login: wrong user or password"],
      [COMMAND.open, 12, "ERR_AUTH", "virtual host 'shop': the user has no access to the virtual host"],
      [COMMAND.open, 0, "ERR_AUTH", "virtual host 'shop': response code 0"],
      [COMMAND.peerProperties, 99, "ERR_STREAM", "properties: response code 99"],
    ] as const;
    for (const [command, code, kind, message] of cases) {
      const { server, connection } = connect();
      const login = connection.logIn(BROKERS[0]!);
      for (
        const key of [COMMAND.peerProperties, COMMAND.saslHandshake, COMMAND.saslAuthenticate, COMMAND.open]
      ) {
        const sent = await server.until(key === COMMAND.open ? 5 : key - COMMAND.peerProperties + 1);
        server.answer(
          key,
          sent.at(-1)![1] as number,
          key === command ? code : 1,
          (encoder) => encoder.uint32(0),
        );
        if (key === command) break;
        if (key === COMMAND.saslAuthenticate) {
          server.say(COMMAND.tune, (encoder) => encoder.uint32(0).uint32(0));
        }
      }
      await assert.rejects(deadline(login, 5000, "the refusal"), failsWith(kind, message));
      connection.abort();
    }
  });

  it("login - a server may have 100 properties, or none", async () => {
    for (const [count, expected] of [[0, ""], [100, "4"], [101, undefined]] as const) {
      const { server, connection } = connect();
      const login = connection.logIn(BROKERS[0]!);
      await server.until(1);
      server.answer(COMMAND.peerProperties, 1, 1, (encoder) => {
        encoder.uint32(count);
        for (let i = 0; i < count; i++) encoder.text("version").text("4");
      });
      if (expected === undefined) {
        const tooMany = failsWith("ERR_PROTOCOL", "The server has 101 properties");
        await assert.rejects(deadline(login, 5000, "the failure"), tooMany);
        continue;
      }
      await server.until(2);
      assert.equal(connection.server, expected);
      connection.abort();
      await assert.rejects(login, failsWith("ERR_UNREACHABLE", "The connection was closed"));
    }
  });

  it("login - ends with the connection while it waits for the limits", async () => {
    const { server, stream, connection } = connect();
    const login = connection.logIn(BROKERS[0]!);
    for (const key of [COMMAND.peerProperties, COMMAND.saslHandshake, COMMAND.saslAuthenticate]) {
      const sent = await server.until(key - COMMAND.peerProperties + 1);
      server.answer(key, sent.length, 1, (encoder) => encoder.uint32(0));
    }
    await settle();
    stream.feedEnd();
    const lost = failsWith("ERR_UNREACHABLE", "The server closed the connection without a Close");
    await assert.rejects(deadline(login, 5000, "the failure"), lost);
  });
});
