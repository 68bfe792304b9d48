/** When a dialer connects again, and after which pause: connections that end as the test says. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AuthError, ProtocolError, UnreachableError } from "../../../lib/errors.ts";
import { parseEndpoint } from "../../../lib/transport/endpoint.ts";
import { listen } from "../../../lib/transport/transport.ts";
import { Dialer, type Ending } from "../../../lib/zmq/connections/dialer.ts";
import { resolveOptions } from "../../../lib/zmq/options.ts";
import { deadline } from "../../support/helpers.ts";
import { inproc } from "../../support/sockets.ts";

const LOST = new UnreachableError("lost");
const FINAL = new ProtocolError("final");
const DOUBTFUL = new AuthError("doubtful", { certain: false });

const failed = (error: Error): Ending => ({ error, wasReady: false, wasUseful: false });
const USEFUL: Ending = { error: LOST, wasReady: true, wasUseful: true };
const USELESS: Ending = { error: LOST, wasReady: true, wasUseful: false };
const REFUSED: Ending = { error: FINAL, wasReady: true, wasUseful: false, wasRefused: true };
/** A connection that was ready for a second, and carried nothing. */
const LASTING: Ending = { ...USELESS };
/** The dialer is stopped during this connection. */
const stopped = (ending: Ending): Ending & { stops: true } => ({ ...ending, stops: true });

/**
 * Runs a dialer through connections, after which it is stopped.
 *
 * @returns its pauses, without their random part, and how it ended: an error, or how many connections it made
 */
async function run(endings: readonly Ending[], retriesRefusal = false, random = 1) {
  const pauses: number[] = [];
  const endpoint = inproc();
  await using _listener = await listen(endpoint, () => {});
  const options = resolveOptions({
    reconnect: { first: 2, longest: 9 },
    onEvent: (event) => event.type === "retrying" ? void pauses.push(event.delay) : undefined,
  });
  const original = { random: Math.random, now: performance.now };
  let ahead = 0;
  Math.random = () => random;
  performance.now = () => 1e6 + ahead;
  let at = 0;
  /** Whether the dialer says that the peer refused the connection before this one. */
  const refusals: boolean[] = [];
  try {
    const dialer: Dialer = new Dialer(
      parseEndpoint(endpoint),
      options,
      (stream) => {
        stream.close();
        refusals.push(dialer.refused);
        const ending = endings[at++];
        if (ending === undefined || "stops" in ending) dialer.stop();
        if (ending === LASTING) ahead += 1000;
        return Promise.resolve(ending ?? failed(LOST));
      },
      retriesRefusal,
    );
    const failure = await deadline(dialer.done);
    const before = [undefined, ...endings].slice(0, refusals.length);
    assert.deepEqual(refusals, before.map((ending) => ending?.wasRefused === true));
    return [pauses, failure?.message ?? at];
  } finally {
    Math.random = original.random;
    performance.now = original.now;
  }
}

describe("dialer", () => {
  it("pauses - double up to the longest, and are short again after a connection that was of use", async () => {
    const down = failed(LOST);
    const cases: [endings: Ending[], pauses: number[]][] = [
      [[down, down, down, down, down], [2, 4, 8, 9, 9]],
      [[USEFUL, USEFUL, USEFUL], [2, 2, 2]],
      [[down, down, USEFUL, down, down], [2, 4, 2, 4, 8]],
      // One that closes at once is forgiven, two in a row are not.
      [[USELESS, USELESS, USELESS, USELESS, USELESS], [2, 4, 8, 9, 9]],
      [[down, down, USELESS, USELESS], [2, 4, 2, 4]],
      [[USELESS, USEFUL, USELESS, USELESS], [2, 2, 2, 4]],
      [[USELESS, USELESS, USEFUL, USELESS], [2, 4, 2, 2]],
      [[USELESS, down, USELESS, USEFUL], [2, 4, 8, 2]],
      [[LASTING, LASTING, LASTING], [2, 2, 2]],
      [[USELESS, USELESS, LASTING, USELESS], [2, 4, 2, 2]],
    ];
    for (const [endings, pauses] of cases) {
      assert.deepEqual(await run(endings), [pauses, endings.length + 1], `${pauses}`);
    }
  });

  it("pauses - at least half of each is certain", async () => {
    const endings = Array<Ending>(3).fill(failed(LOST));
    assert.deepEqual(await run(endings, false, 0), [[1, 2, 4], 4]);
    assert.deepEqual(await run(endings, false, 0.5), [[2, 3, 6], 4]);
  });

  it("final - an error that would repeat ends it; one that is only likely to, the second time in a row", async () => {
    const doubtful = failed(DOUBTFUL);
    const cases: [endings: Ending[], attempts: number, end: string | undefined][] = [
      [[failed(FINAL)], 1, "final"],
      [[{ ...USEFUL, error: FINAL }], 1, "final"],
      [[failed(LOST), failed(FINAL)], 2, "final"],
      [[failed(new AuthError("certain"))], 1, "certain"],
      [[doubtful, doubtful], 2, "doubtful"],
      [[doubtful, failed(LOST), doubtful, USEFUL, doubtful], 5, undefined],
      [[doubtful, failed(LOST), doubtful, doubtful], 4, "doubtful"],
      [[doubtful, failed(FINAL)], 2, "final"],
      [[{ error: undefined, wasReady: true, wasUseful: true }], 1, undefined],
    ];
    for (const [endings, attempts, end] of cases) {
      const [pauses, result] = await run(endings);
      const what = endings.map(({ error }) => error?.message).join();
      assert.equal(result, end ?? attempts + 1, what);
      assert.equal((pauses as number[]).length, end === undefined ? attempts : attempts - 1, what);
    }
  });

  it("refusal - is final, unless the peer accepted before or the socket tries again in any case", async () => {
    const cases: [endings: Ending[], retriesRefusal: boolean, end: string | number][] = [
      [[REFUSED], false, "final"],
      [[failed(LOST), REFUSED], false, "final"],
      [[USEFUL, REFUSED], false, 3],
      [[USELESS, REFUSED, REFUSED, REFUSED], false, 5],
      [[REFUSED, REFUSED], true, 3],
      [[USEFUL, failed(FINAL)], true, "final"],
      [[USEFUL, { ...USEFUL, error: FINAL }], true, "final"],
      // Once it is stopped, only a refusal tells that messages are lost.
      [[USEFUL, stopped(REFUSED)], false, "final"],
      [[stopped(failed(FINAL))], false, 1],
      [[stopped(USEFUL)], false, 1],
    ];
    for (const [endings, retriesRefusal, end] of cases) {
      const [, result] = await run(endings, retriesRefusal);
      assert.equal(result, end, `${endings.length} ${retriesRefusal} ${end}`);
    }
  });
});
