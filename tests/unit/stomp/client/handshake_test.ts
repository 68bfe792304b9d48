import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ClosedError,
  HandshakeTimeoutError,
  IncompatiblePeerError,
  RefusedError,
  UnreachableError,
} from "../../../../lib/errors.ts";
import { dialFirst } from "../../../../lib/link/dial.ts";
import { STOMP } from "../../../../lib/stomp/client/protocol.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import { StompError } from "../../../../lib/stomp/stomp_error.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { serveStomp, type StompScript } from "../../../support/scripted_stomp.ts";

/** Connects to a scripted server, and expects an error. */
async function refused(
  script: StompScript,
  type: new (...args: never[]) => Error,
  words: RegExp,
  handshakeTimeout = 10_000,
): Promise<void> {
  await serveStomp(script, async (url) => {
    const servers = parseStompAddress(url.replace("//", "//me:secret@")).servers;
    await assert.rejects(dialFirst(STOMP, servers, { handshakeTimeout }), (error: Error) => {
      assert.ok(error instanceof type, `${error.constructor.name}: ${error.message}`);
      assert.match(error.message, words);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  });
}

/** A server that answers CONNECT with ERROR. */
function answer(message: string, details: string): StompScript {
  return {
    on(served, { command }) {
      if (command !== "CONNECT") return false;
      served.say("ERROR", { message }, details);
      served.socket.end();
      return true;
    },
  };
}

describe("STOMP handshake", () => {
  it("handshake - sends versions, virtual host, credentials and heart-beats", async () => {
    await serveStomp({}, async (url, connections) => {
      const servers = parseStompAddress(`${url.replace("//", "//me:it@")}?vhost=shop&heartbeat=7`).servers;
      const connection = await dialFirst(STOMP, servers);
      assert.deepEqual([connection.version, connection.server], ["1.2", "Scripted 1"]);
      await connection.close();
      assert.deepEqual(connections[0]!.frames[0]!.headers, {
        "accept-version": "1.0,1.1,1.2",
        host: "shop",
        login: "me",
        passcode: "it",
        "heart-beat": "7000,7000",
      });
      assert.equal(connections[0]!.frames[1]!.command, "DISCONNECT");
    });
  });

  it("login - wrong credentials and virtual hosts are refused in words", async () => {
    await refused(
      answer("Bad CONNECT", "Access refused for user 'me'\n"),
      RefusedError,
      /refused for user 'me'/,
    );
    await refused(
      answer("User name [me] or password is invalid.", ""),
      RefusedError,
      /wrong user or password/,
    );
    await refused(
      answer("Bad CONNECT", "Virtual host '/' access denied"),
      RefusedError,
      /'\/' does not exist/,
    );
    await refused(
      answer("Bad CONNECT", "connection limit"),
      RefusedError,
      /refused the connection: connection limit/,
    );
    await refused(answer("Busy", "try later"), StompError, /Busy: try later/);
  });

  it("version - no common version is an incompatible peer", async () => {
    await refused(
      answer("Version mismatch", "Supported versions are 9\n"),
      IncompatiblePeerError,
      /versions are 9/,
    );
    await refused(
      {
        on(served) {
          served.say("CONNECTED", { version: "2.0" });
          return true;
        },
      },
      IncompatiblePeerError,
      /version '2.0'/,
    );
  });

  const others: [what: string, greeting: string | Uint8Array, words: RegExp][] = [
    ["AMQP", "AMQP\0\0\x09\x01", /speaks AMQP, not STOMP/],
    ["HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", /speaks HTTP, not STOMP/],
    ["ZMTP", Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f), /speaks ZMTP \(ZeroMQ\)/],
    ["TLS", Uint8Array.of(0x15, 3, 3, 0, 2, 2, 10), /speaks TLS/],
    ["SMTP", "220 mail ready\r\n", /begins with '220 mail ready'/],
  ];
  for (const [what, greeting, words] of others) {
    it(`other protocols - ${what} is named`, () => refused({ greeting }, IncompatiblePeerError, words));
  }

  it("silence - a server that does not answer, or closes, is reported", async () => {
    await refused({ on: () => true }, HandshakeTimeoutError, /within|did not answer/, 300);
    await refused(
      {
        on(served) {
          served.socket.end();
          return true;
        },
      },
      UnreachableError,
      /closed the connection during the login/,
    );
  });

  it("goodbye - a server that ends the connection after CONNECTED is noticed", async () => {
    await serveStomp({
      on(served) {
        served.say("CONNECTED", { version: "1.2" });
        served.socket.end();
        return true;
      },
    }, async (url) => {
      const end = dialFirst(STOMP, parseStompAddress(url).servers).then(
        ({ closed }) => closed,
        (error) => error,
      );
      assert.ok(await deadline(end, 10_000, "the end") instanceof UnreachableError);
    });
  });
});

describe("STOMP connection", () => {
  it("call - on a lost connection fails with the loss, because another connection may help; after a close it is closed", async () => {
    await serveStomp({}, async (url, connections) => {
      const { servers } = parseStompAddress(url);
      const lost = await dialFirst(STOMP, servers);
      connections[0]!.socket.destroy();
      await deadline(lost.closed, 10_000, "the end of the connection");
      await assert.rejects(lost.call("SEND", []), UnreachableError);
      const closed = await dialFirst(STOMP, servers);
      await closed.close();
      await assert.rejects(closed.call("SEND", []), ClosedError);
    });
  });
});

describe("STOMP heart-beats", () => {
  it("heart-beats - are sent in the interval that both ends agreed on", async () => {
    await serveStomp({ heartbeat: "0,1000" }, async (url, connections) => {
      const connection = await dialFirst(STOMP, parseStompAddress(`${url}?heartbeat=1`).servers);
      const { received } = connections[0]!;
      const after = received.bytes;
      await waitFor(() => received.bytes > after + 1, 10_000, "two heart-beats");
      assert.equal(connections[0]!.frames.length, 1);
      await connection.close();
    });
  });

  it("heart-beats - a silent server is lost, also one that beat before", async () => {
    await serveStomp({ heartbeat: "1000,0" }, async (url, connections) => {
      const connection = await dialFirst(STOMP, parseStompAddress(`${url}?heartbeat=1`).servers);
      connections[0]!.socket.write("\n");
      const cause = await deadline(connection.closed, 10_000, "the end of the connection");
      assert.ok(cause instanceof UnreachableError);
      assert.match(cause.message, /sent nothing for 2 s, twice the heart-beat interval/);
    });
  });

  it("heart-beats - are off if one end does not want them", async () => {
    await serveStomp({ heartbeat: "1000,1000" }, async (url, connections) => {
      const connection = await dialFirst(STOMP, parseStompAddress(`${url}?heartbeat=0`).servers);
      assert.equal(connections[0]!.frames[0]!.headers["heart-beat"], "0,0");
      await connection.close();
    });
  });
});
