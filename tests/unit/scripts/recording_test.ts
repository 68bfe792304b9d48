import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { appendTo, type Line, renderRecording } from "../../../scripts/recording.ts";

describe("recording", () => {
  it("recording - a line has the time of its last character", () => {
    const lines: Line[] = [{ text: "", time: 0 }];
    appendTo(lines, "$ ", 1);
    appendTo(lines, "seq 2\r\n1\r", 20);
    appendTo(lines, "\n2\r\n", 30);
    assert.deepEqual(lines, [
      { text: "$ seq 2", time: 20 },
      { text: "1", time: 20 },
      { text: "2", time: 30 },
      { text: "", time: 30 },
    ]);
  });

  it("recording - each text appears at its time, and is always shown where motion is unwelcome", () => {
    const svg = renderRecording([[{ text: "$ a <b", time: 0 }], [{ text: "c", time: 5000 }]]);
    assert.match(svg, /class="k0 typed">\$ a &lt;b<\/text>/);
    assert.match(svg, /@keyframes k1\{0%\{opacity:0\}50\.00%\{opacity:1\}\}/);
    assert.match(svg, /prefers-reduced-motion:no-preference/);
  });
});
