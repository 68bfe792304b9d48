/** The target of the fuzzer for filters: their text, and the messages that they test. */
import { encodeProperties } from "../../lib/amqp/properties.ts";
import { compileFilter } from "../../lib/filter/filter.ts";
import { concat, utf8 } from "../../lib/zmtp/bytes.ts";
import { StoredMessage } from "../../lib/broker/core/stored_message.ts";
import type { Target } from "./target.ts";

const TEXT = 'headers.x-death[0].count > 3 and not (topic =~ "^a\\.b" or json.a["b c"] != null) or age < 5m';
const HEAD = encodeProperties({
  timestamp: 1_700_000_000,
  type: "t",
  headers: { "x-death": [{ count: 4n, queue: "q" }], a: "text" },
});
const ROUTE = Uint8Array.of(1, 120, 2, 97, 98);

/** The first half of the input is a filter, the second half a message. */
export const filters: Target = {
  name: "filters, and the messages that they test",
  seeds: [
    concat([Uint8Array.of(TEXT.length), utf8(TEXT), ROUTE, HEAD, utf8('{"a":{"b c":1}}')]),
    concat([Uint8Array.of(16), utf8("size>2k or body "), ROUTE, HEAD, utf8("[1,[2]]")]),
  ],
  run(input) {
    const length = input[0] ?? 0;
    const text = new TextDecoder().decode(input.subarray(1, 1 + length));
    const rest = input.subarray(1 + length);
    const split = Math.min(rest.length, ROUTE.length);
    const end = Math.min(rest.length, split + HEAD.length);
    const message = new StoredMessage().of({
      head: rest,
      routeStart: 0,
      propertiesStart: split,
      propertiesEnd: end,
      body: rest,
      bodyStart: end,
      bodyEnd: rest.length,
    }, false);
    // The fixed filters test the message even if the text is not a filter.
    for (const fixed of FIXED) fixed.matches(message);
    compileFilter(text).matches(message);
  },
};

const FIXED = [
  compileFilter(TEXT),
  compileFilter('headers.a[0].b == "x" or age > 1 or properties.type =~ "a.*b" or properties.timestamp > 1'),
  compileFilter('json[0].a or body =~ "[a-c]+$"'),
];
