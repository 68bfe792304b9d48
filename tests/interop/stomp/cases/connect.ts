import { cases, type Session } from "../case.ts";
import { NAMES_HEADER, REASON_FIRST } from "../differences.ts";

/** Sends CONNECT and waits for the answer. */
function connect(headers: Readonly<Record<string, string>>, command = "CONNECT") {
  return async (on: Session) => {
    const peer = await on.dial();
    peer.send(command, headers);
    await peer.take("CONNECTED", "ERROR");
  };
}

const GUEST = { login: "guest", passcode: "guest" };

export const connecting = cases("connect", {
  "no version is 1.0": connect(GUEST),
  "the newest common version": connect({ ...GUEST, "accept-version": "1.0,1.1,1.2,9.9" }),
  "version 1.1": connect({ ...GUEST, "accept-version": "1.1" }),
  "no common version": connect({ ...GUEST, "accept-version": "0.9,2.0" }),
  "STOMP instead of CONNECT": connect({ ...GUEST, "accept-version": "1.2", host: "/" }, "STOMP"),
  "no login": connect({ "accept-version": "1.2" }),
  "a wrong password": connect({ login: "guest", passcode: "wrong", "accept-version": "1.2" }),
  "an unknown user": connect({ login: "who", passcode: "x", "accept-version": "1.2" }),
  "another virtual host": connect({ ...GUEST, host: "other", "accept-version": "1.2" }),
  "a missing virtual host": connect({ ...GUEST, host: "missing", "accept-version": "1.2" }),
  "a user without permissions": connect({ login: "nobody", passcode: "nobody", "accept-version": "1.2" }),
  "heart-beats are rounded to seconds": connect({
    ...GUEST,
    "heart-beat": "500,2700",
    "accept-version": "1.2",
  }),
  "heart-beats that are not numbers": [
    connect({ ...GUEST, "heart-beat": "a,b", "accept-version": "1.2" }),
    NAMES_HEADER,
  ],
  "spaces before values of 1.0": async (on) => {
    const peer = await on.dial("1.0");
    peer.raw("CONNECT\nlogin: guest\npasscode: guest\nhost: /\n\n\0");
    await peer.take("CONNECTED");
  },
  "ends of lines and NULs before CONNECT": async (on) => {
    const peer = await on.dial();
    peer.raw("\n\r\n\0\nCONNECT\r\naccept-version:1.2\r\n\r\n\0\n\n");
    await peer.take("CONNECTED");
  },
  "another frame first": async (on) => {
    const peer = await on.dial();
    peer.send("SEND", { destination: "/queue/a" });
    await peer.take("ERROR");
  },
  "a second CONNECT": [async (on) => {
    const peer = await on.connect();
    peer.send("CONNECT", GUEST);
    await peer.closed;
  }, REASON_FIRST],
  "an unknown command": (on) => on.refused("HELLO"),
  "a header without a colon": [async (on) => {
    const peer = await on.connect();
    peer.raw("SEND\nhello\n\n\0");
    await peer.closed;
  }, REASON_FIRST],
  "an unknown escape": [async (on) => {
    const peer = await on.connect();
    peer.raw("SEND\na:\\t\n\n\0");
    await peer.closed;
  }, REASON_FIRST],
  "a receipt of DISCONNECT": async (on) => {
    const peer = await on.connect();
    peer.send("DISCONNECT", { receipt: "d" });
    await peer.take("RECEIPT");
    await peer.closed;
  },
});
