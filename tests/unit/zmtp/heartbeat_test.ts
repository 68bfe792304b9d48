/** Heartbeats, with a clock that the test moves. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Heartbeat, resolveHeartbeat } from "../../../lib/zmtp/heartbeat.ts";
import { FakeTime } from "../../support/fake_time.ts";

/** A connection with heartbeats. */
class Watched implements Disposable {
  readonly time = new FakeTime();
  /** The times of the PINGs since the start. */
  readonly pings: number[] = [];
  /** The time and the text of the end. */
  readonly ends: string[] = [];
  /** The bytes of the current write that the system has taken; -1 without a write. */
  progress = -1;
  readonly heartbeat: Heartbeat;

  constructor(interval: number, timeout = 300) {
    const since = () => this.time.now - 1000;
    this.heartbeat = new Heartbeat({ interval, timeout, ttl: 700 }, {
      ping: (ttl) => {
        assert.equal(ttl, 700);
        this.pings.push(since());
        this.heartbeat.sent();
      },
      expire: ({ message }) => this.ends.push(`${since()}: ${message}`),
      progress: () => this.progress,
    });
    this.heartbeat.start();
  }

  [Symbol.dispose](): void {
    this.heartbeat.stop();
    assert.equal(this.time.timers, 0);
    this.time[Symbol.dispose]();
  }
}

describe("heartbeat", () => {
  it("times - the defaults follow the interval, and a timer can wait so long", () => {
    assert.deepEqual(resolveHeartbeat(), { interval: 0, timeout: 0, ttl: 0 });
    assert.deepEqual(resolveHeartbeat({ interval: 5 }), { interval: 5, timeout: 5, ttl: 10 });
    assert.deepEqual(resolveHeartbeat({ interval: 5, timeout: 0, ttl: 7 }), {
      interval: 5,
      timeout: 0,
      ttl: 7,
    });
    const most = 2 ** 31 - 1;
    for (const name of ["interval", "timeout", "ttl"] as const) {
      assert.equal(resolveHeartbeat({ ttl: 1, [name]: most })[name], most);
      for (const wrong of [-1, most + 1, NaN]) {
        assert.throws(() => resolveHeartbeat({ [name]: wrong }), /must be from 0 to 2\^31-1/);
      }
    }
  });

  it("a silent peer is asked after an interval, and given up without an answer in time", () => {
    using watched = new Watched(100);
    watched.time.pass(1000);
    assert.deepEqual(watched.ends, ["400: The peer sent nothing for 0.4 s"]);
    // Our own silence is a PING per interval, too.
    assert.deepEqual(watched.pings, [0, 100, 200, 300]);
  });

  it("a peer that answers stays", () => {
    using watched = new Watched(100);
    for (let i = 0; i < 20; i++) {
      watched.time.pass(99);
      watched.heartbeat.heard();
    }
    assert.deepEqual(watched.ends, []);
    assert.ok(watched.pings.length >= 18 && watched.pings.length <= 21, `${watched.pings}`);
  });

  it("a busy connection is not asked", () => {
    using watched = new Watched(100);
    for (let i = 0; i < 40; i++) {
      watched.time.pass(50);
      watched.heartbeat.heard();
      watched.heartbeat.sent();
    }
    assert.deepEqual(watched.pings, [0]);
    // Each time at which the timer fires costs something.
    assert.ok(watched.time.started < 60, `${watched.time.started} timers in 20 intervals`);
  });

  it("silence does not count while reading is paused, and counts again afterwards", () => {
    using watched = new Watched(100);
    watched.time.pass(50);
    watched.heartbeat.pause();
    watched.time.pass(5000);
    assert.deepEqual(watched.ends, []);
    watched.heartbeat.resume();
    watched.time.pass(399);
    assert.deepEqual(watched.ends, []);
    watched.time.pass(101);
    assert.equal(watched.ends.length, 1);
    assert.match(watched.ends[0]!, /sent nothing for 0\.4/);
  });

  it("bytes that the peer takes are a sign of life; a write that stands still is not", () => {
    using watched = new Watched(100);
    for (watched.progress = 0; watched.progress < 50; watched.progress++) watched.time.pass(100);
    assert.deepEqual([watched.ends, watched.pings.filter((time) => time > 200)], [[], []]);
    watched.time.pass(2000);
    assert.equal(watched.ends.length, 1);
  });

  it("time in which this process was suspended is ignored", () => {
    using watched = new Watched(100);
    watched.time.pass(50);
    watched.time.suspend(60_000);
    assert.deepEqual(watched.ends, []);
    watched.heartbeat.heard();
    watched.time.pass(120);
    assert.deepEqual(watched.ends, []);
    watched.time.suspend(60_000);
    assert.deepEqual(watched.ends, []);
    watched.time.pass(400);
    assert.equal(watched.ends.length, 1);
  });

  it("time in which this process was suspended is no silence of a peer that told its patience", () => {
    using watched = new Watched(0);
    watched.heartbeat.promise(600);
    watched.time.pass(100);
    watched.time.suspend(60_000);
    assert.deepEqual(watched.ends, []);
    // The 300 ms before the timer that was late count.
    watched.time.pass(299);
    assert.deepEqual(watched.ends, []);
    watched.time.pass(1);
    assert.deepEqual(watched.ends, ["60400: The peer sent nothing for 0.6 s"]);
  });

  it("without an interval of our own nothing is sent, until the peer tells its patience", () => {
    using watched = new Watched(0);
    watched.time.pass(5000);
    assert.deepEqual([watched.pings, watched.ends, watched.time.timers], [[], [], 0]);
    watched.heartbeat.promise(600);
    for (let i = 0; i < 10; i++) {
      watched.time.pass(300);
      watched.heartbeat.heard();
    }
    assert.deepEqual(watched.pings, Array.from({ length: 10 }, (_, i) => 5300 + 300 * i));
    watched.time.pass(599);
    assert.deepEqual(watched.ends, []);
    watched.time.pass(1);
    assert.deepEqual(watched.ends, ["8600: The peer sent nothing for 0.6 s"]);
    watched.heartbeat.promise(0);
    watched.time.pass(5000);
    assert.equal(watched.ends.length, 1);
  });

  it("nothing happens after stop", () => {
    using watched = new Watched(100);
    watched.heartbeat.stop();
    watched.heartbeat.promise(5);
    watched.time.pass(1000);
    assert.deepEqual([watched.pings, watched.ends], [[0], []]);
  });
});
