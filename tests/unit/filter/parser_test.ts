import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FilterError } from "../../../lib/filter/filter_error.ts";
import { MAX_DEPTH, MAX_LENGTH, parseExpression } from "../../../lib/filter/parser.ts";

/** The mistakes: a filter with a caret below the character that the error names, and the reason. */
const MISTAKES: readonly (readonly [filter: string, caret: string, reason: RegExp])[] = [
  ["", "^", /expected a field, found the end/],
  ["size >", "      ^", /expected a value.* found the end/],
  ["size > 10q", "         ^", /no unit 'q' of size: expected k, M or G/],
  ["age > 5x", "       ^", /no unit 'x' of time/],
  ["headers.a > 5m", "             ^", /only age and size have units/],
  ["topik == 1", "^", /no field 'topik': expected one of topic, /],
  ["topic = 'a'", "      ^", /write '=='/],
  ["topic == 'a' && size > 1", "             ^", /no operator '&&': write 'and'/],
  ["!topic", "^", /write 'not'/],
  ["topic == a", "         ^", /a text needs quotes/],
  ["topic == 5", "         ^", /'topic' is compared with a text in quotes/],
  ["topic == 'a", "         ^", /the quote is not closed/],
  ["(size > 1", "^", /the parenthesis is not closed/],
  ["size > 1)", "        ^", /found '\)'/],
  ["topic.a == 'x'", "     ^", /without members/],
  ["properties == 1", "          ^", /the name of a property is missing/],
  ["properties.colour == 1", "           ^", /no property 'colour'/],
  ["headers. == 1", "        ^", /expected a name/],
  ["headers[x] == 1", "        ^", /a number or a name in quotes/],
  ["headers[0 == 1", "         ^", /expected '\]'/],
  ["topic =~ '('", "         ^", /cannot use the pattern/],
  ["topic =~ '(?=a)'", "         ^", /lookahead/],
  ["size =~ '1'", "^", /no pattern matches it/],
  ["headers.a < true", "            ^", /has no order/],
  ["size > 1e999", "       ^", /too large/],
  ["size > 1 size > 2", "         ^", /expected 'and', 'or' or the end, found 'size'/],
  ["size > 1constructor", "        ^", /no unit 'constructor'/],
  ["json.a == constructor", "          ^", /a text needs quotes/],
  ["not", "   ^", /expected a field/],
  ["ünder > 1", "^", /no field 'ünder'/],
];

describe("parser of filters", () => {
  for (const [filter, caret, reason] of MISTAKES) {
    it(`'${filter}' - the error points at the character`, () => {
      assert.throws(() => parseExpression(filter), (error) => {
        assert.ok(error instanceof FilterError);
        assert.match(error.message, reason);
        assert.deepEqual([...error.excerpt], [filter, caret]);
        return true;
      });
    });
  }

  it("an excerpt of a long filter - shows the part around the mistake", () => {
    const filter = `${"size > 1 and ".repeat(50)}bad > 1${" and size > 1".repeat(50)}`;
    assert.throws(() => parseExpression(filter), (error) => {
      assert.ok(error instanceof FilterError);
      const [shown, caret] = error.excerpt;
      assert.ok(shown.length <= 80);
      assert.equal(shown.slice(caret.length - 1, caret.length + 2), "bad");
      return true;
    });
  });

  it("limits - the length and the depth", () => {
    parseExpression(`${"(".repeat(MAX_DEPTH)}topic${")".repeat(MAX_DEPTH)}`);
    for (const open of ["(", "not "]) {
      assert.throws(() => parseExpression(open.repeat(MAX_DEPTH + 1)), {
        code: "ERR_FILTER",
        message: /deeper/,
      });
    }
    const longest = `topic == "${"x".repeat(MAX_LENGTH - 11)}"`;
    parseExpression(longest);
    assert.throws(() => parseExpression(`${longest} `), { code: "ERR_FILTER", message: /4096/ });
  });
});
