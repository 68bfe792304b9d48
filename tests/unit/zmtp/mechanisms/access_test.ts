/** Lists of users, and password hashes of Unix. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { utf8 } from "../../../../lib/zmtp/bytes.ts";
import { allowKeys, allowUsers, parseUsers } from "../../../../lib/zmtp/mechanisms/access.ts";
import { sha512Crypt } from "../../../../lib/zmtp/mechanisms/sha512_crypt.ts";
import type { ZapRequest } from "../../../../lib/zmtp/mechanisms/zap.ts";

/** The examples of the specification (Drepper, "Unix crypt using SHA-256 and SHA-512"), and the rounds that each asks for. */
const EXAMPLES: [password: string, setting: string, hash: string][] = [
  [
    "Hello world!",
    "$6$saltstring",
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
  ],
  [
    "This is just a test",
    "$6$rounds=5000$toolongsaltstring",
    "$6$rounds=5000$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0",
  ],
  [
    "a very much longer text to encrypt.  This one even stretches over morethan one line.",
    "$6$rounds=1400$anotherlongsaltstring",
    "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
  ],
  [
    "the minimum number is still observed",
    "$6$rounds=1000$roundstoolow",
    "$6$rounds=1000$roundstoolow$kUMsbe306n21p9R.FRkW3IGn.S9NPN0x50YhH1xhLsPuWGsUSklZt58jaTfF4ZEQpyUNGc0dqbpBYYBaHHrsX.",
  ],
];

const asks = (mechanism: ZapRequest["mechanism"], ...credentials: Uint8Array[]): ZapRequest => ({
  domain: "global",
  address: "",
  identity: new Uint8Array(0),
  mechanism,
  credentials,
});

describe("access", () => {
  it("hashes - are those of the specification, with at least 1000 rounds", () => {
    for (const [password, setting, hash] of EXAMPLES) {
      assert.equal(sha512Crypt(utf8(password), setting), hash);
      assert.equal(sha512Crypt(utf8(password), hash), hash);
      assert.notEqual(sha512Crypt(utf8(`${password}!`), hash), hash);
    }
    const few = sha512Crypt(utf8("the minimum number is still observed"), "$6$rounds=10$roundstoolow");
    assert.equal(few, EXAMPLES[3]![2].replace("1000", "10"));
  });

  it("users - a line is a name of at least one character, a colon and a password, which may have more colons", async () => {
    const users = parseUsers("a:b\n# x:y\n\n  \r\nname: with:colons \r\nempty:\n");
    assert.deepEqual([...users], [["a", "b"], ["name", " with:colons "], ["empty", ""]]);
    for (
      const [file, line] of [[":x", 1], ["a:b\nc", 2], ["a:b\n\na:c", 3], ["a:$5$salt$x", 1], [
        "a:$y$salt$x",
        1,
      ]] as const
    ) {
      assert.throws(() => parseUsers(file), new RegExp(`^RangeError: Line ${line} `));
    }
    const handler = allowUsers(new Map([...users, ["hashed", EXAMPLES[0]![2]]]));
    const cases: [name: string, password: string, userId: string | undefined][] = [
      ["a", "b", "a"],
      ["a", "c", undefined],
      ["a", "", undefined],
      ["empty", "", "empty"],
      ["nobody", "", undefined],
      ["nobody", "Hello world!", undefined],
      ["hashed", "Hello world!", "hashed"],
      ["hashed", EXAMPLES[0]![2], undefined],
      ["", "", undefined],
    ];
    for (const [name, password, userId] of cases) {
      const reply = await handler(asks("PLAIN", utf8(name), utf8(password)));
      assert.deepEqual(
        [reply.status, reply.userId],
        [userId === undefined ? 400 : 200, userId],
        `${name} ${password}`,
      );
    }
    assert.equal((await handler(asks("CURVE", utf8("a"), utf8("b")))).status, 400);
    const nobody = allowUsers(new Map());
    assert.equal((await nobody(asks("PLAIN", utf8(""), utf8("")))).status, 400);
  });

  it("keys - only those of the list, and only for CURVE", async () => {
    const keys = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte));
    const handler = allowKeys(keys.slice(0, 2));
    const statuses = await Promise.all(keys.map(async (key) => (await handler(asks("CURVE", key))).status));
    assert.deepEqual(statuses, [200, 200, 400]);
    assert.equal((await handler(asks("PLAIN", keys[0]!))).status, 400);
  });
});
