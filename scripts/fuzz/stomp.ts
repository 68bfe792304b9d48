/** The STOMP targets of the fuzzer: frames in each version. */
import { StompDecoder } from "../../lib/stomp/frame_decoder.ts";
import { StompEncoder } from "../../lib/stomp/frame_encoder.ts";
import { VERSIONS } from "../../lib/stomp/frame.ts";
import { concat, utf8 } from "../../lib/zmtp/bytes.ts";
import type { Target } from "./target.ts";

/** The limit of bodies, which changed lengths exceed, in bytes. */
const MAX_BODY = 64 * 1024;

/** A frame as a client sends it; `\0` ends it. */
function frame(head: string, body = ""): Uint8Array {
  return utf8(`${head}\n\n${body}\0\n`);
}

const FRAMES = [
  frame("CONNECT\naccept-version:1.0,1.1,1.2\nhost:/\nlogin:guest\npasscode:guest\nheart-beat:0,0"),
  frame("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\nprefetch-count:10"),
  frame("SEND\ndestination:/queue/a\nreceipt:1\ncontent-length:5\nx\\cy:a\\nb\\\\\\r", "he\0lo"),
  frame("SEND\r\ndestination:/topic/a.b\r\ncontent-type:text/plain\r", "hello"),
  frame("ACK\nid:T_0@@session-x@@1\ntransaction:tx"),
  frame("UNSUBSCRIBE\nid:0"),
];

const frames: Target = {
  name: "STOMP frames",
  seeds: [concat(FRAMES), ...FRAMES, frame("SEND\ndestination:a", "x".repeat(5000))],
  run(input, chance) {
    const version = chance.of(VERSIONS);
    const encoder = new StompEncoder();
    encoder.version = version;
    const decoder = new StompDecoder({
      onFrame: ({ command, headers, body, bodyStart, bodyEnd }) =>
        encoder.frame(command, headers, body.subarray(bodyStart, bodyEnd)),
    }, { maxBody: MAX_BODY });
    decoder.version = version;
    const cut = chance.below(input.length + 1);
    decoder.push(input.slice(0, cut));
    decoder.push(input.slice(cut));
  },
};

export const stompTargets: readonly Target[] = [frames];
