/** The user names of certificates. The expected names were recorded from RabbitMQ 3.10.8. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { certificateName } from "../../../../../lib/broker/core/users/certificate_name.ts";

const CN = [0x55, 4, 3];
const O = [0x55, 4, 10];
const UID = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];
const DC = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
const EMAIL = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
const UTF8 = 0x0c;
const PRINTABLE = 0x13;
const TELETEX = 0x14;
const UNIVERSAL = 0x1c;
const BMP = 0x1e;

/** An element of DER. */
function der(tag: number, ...parts: (readonly number[] | Uint8Array)[]): number[] {
  const content = parts.flatMap((part) => [...part]);
  const { length } = content;
  return [tag, ...(length < 128 ? [length] : [0x82, length >> 8, length & 255]), ...content];
}

type Value = [type: readonly number[], value: string, tag?: number];

/** The part of a certificate up to its subject; each part of the subject has one or more values. */
function certificate(parts: readonly (readonly Value[])[], version = [der(0xa0, der(2, [2]))]): Uint8Array {
  const subject = parts.map((values) =>
    der(
      0x31,
      ...values.map(([type, value, tag = UTF8]) => der(0x30, der(6, type), der(tag, encode(value, tag)))),
    )
  );
  const before = [der(2, [1]), der(0x30), der(0x30), der(0x30)];
  return new Uint8Array(der(0x30, der(0x30, ...version, ...before, der(0x30, ...subject)), der(0x30)));
}

function encode(value: string, tag: number): number[] {
  if (tag === UTF8) return [...new TextEncoder().encode(value)];
  const size = tag === UNIVERSAL ? 4 : tag === BMP ? 2 : 1;
  return [...value].flatMap((char) => {
    const point = char.codePointAt(0)!;
    return Array.from({ length: size }, (_, at) => Math.floor(point / 256 ** (size - 1 - at)) % 256);
  });
}

const CASES: [parts: Value[][], distinguished: string, common: string | undefined][] = [
  [
    [[[[0x55, 4, 6], "DE", PRINTABLE]], [[O, "Acme"]], [[[0x55, 4, 11], "Ops"]], [[CN, "alice"]]],
    "CN=alice,OU=Ops,O=Acme,C=DE",
    "alice",
  ],
  [
    [[[DC, "com", 0x16]], [[DC, "acme", 0x16]], [[CN, "x"]], [[UID, "u1"]]],
    "UID=u1,CN=x,DC=acme,DC=com",
    "x",
  ],
  [[[[O, "Acme"]], [[CN, "a"], [UID, "b"]]], "CN=a+UID=b,O=Acme", "a"],
  [[[[CN, "one"]], [[CN, "two,x"]]], "CN=two\\,x,CN=one", "one,two,x"],
  [[[[O, "only"]]], "O=only", undefined],
  [[], "", undefined],
  [
    [[[O, 'a+b; <x> \\ = # "q", y']], [[CN, "#"]]],
    'CN=\\#,O=a\\+b\\; \\<x\\> \\\\ = # \\"q\\"\\, y',
    "#",
  ],
  [[[[O, " lead and trail "]], [[CN, " "]]], "CN=\\ ,O=\\ lead and trail\\ ", " "],
  [[[[O, "tab\ttilde~del\x7f"]], [[CN, "c"]]], "CN=c,O=tab\\09tilde\\7Edel\\7F", "c"],
  [
    [[[O, "Größe"]], [[CN, "ünï 日本 😀"]]],
    "CN=\\C3\\BCn\\C3\\AF \\E6\\97\\A5\\E6\\9C\\AC \\F0\\9F\\98\\80,O=Gr\\C3\\B6\\C3\\9Fe",
    "ünï 日本 😀",
  ],
  [[[[O, "T61 Größe", TELETEX]], [[CN, "t"]]], "CN=t,O=T61 Gr\\C3\\B6\\C3\\9Fe", "t"],
  [[[[O, "BMP Größe 日", BMP]], [[CN, "t"]]], "CN=t,O=BMP Gr\\C3\\B6\\C3\\9Fe \\E6\\97\\A5", "t"],
  [[[[O, "Uni Größe 日", UNIVERSAL]], [[CN, "t"]]], "CN=t,O=Uni Gr\\C3\\B6\\C3\\9Fe \\E6\\97\\A5", "t"],
  [
    [
      ...([
        [4, "SN"],
        [42, "GIVENNAME"],
        [43, "INITIALS"],
        [44, "GENERATIONQUALIFIER"],
        [7, "L"],
        [8, "ST"],
        [12, "TITLE"],
        [5, "SERIALNUMBER"],
        [65, "PSEUDONYM"],
        [9, "2.5.4.9"],
        [17, "2.5.4.17"],
      ] as const).map(([id, name]): Value[] => [[[0x55, 4, id], name]]),
      [[EMAIL, "a@b.c", 0x16]],
      [[[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2], "un"]],
    ],
    "1.2.840.113549.1.9.2=un,EMAILADDRESS=a@b.c,2.5.4.17=2.5.4.17,2.5.4.9=2.5.4.9,PSEUDONYM=PSEUDONYM," +
    "SERIALNUMBER=SERIALNUMBER,TITLE=TITLE,ST=ST,L=L,GENERATIONQUALIFIER=GENERATIONQUALIFIER," +
    "INITIALS=INITIALS,GIVENNAME=GIVENNAME,SN=SN",
    undefined,
  ],
  [[[[CN, "n".repeat(300)]]], `CN=${"n".repeat(300)}`, "n".repeat(300)],
  // Not recorded: the characters next to those that are escaped byte by byte, and a "#" that does not come first.
  [[[[O, "\x1f a !}#"]], [[CN, "c"]]], "CN=c,O=\\1F a !}#", "c"],
  // Not recorded: a byte order mark belongs to the name.
  [[[[CN, "\ufeffx"]]], "CN=\\EF\\BB\\BFx", "\ufeffx"],
  // Not recorded: identifiers begin with two numbers in one, 0 to 39 below 0 and 1, and any number below 2.
  [
    ([[39, 1], [40, 1], [79, 1], [80, 1], [0x81, 0x34, 3], [0x88, 0x37, 0x81, 0]] as const)
      .map((type): Value[] => [[type, "v"]]),
    "2.999.128=v,2.100.3=v,2.0.1=v,1.39.1=v,1.0.1=v,0.39.1=v",
    undefined,
  ],
];

describe("broker, names of certificates", () => {
  for (const [parts, distinguished, common] of CASES) {
    it(`certificateName - ${distinguished.slice(0, 60) || "an empty subject"}`, () => {
      for (const der of [certificate(parts), certificate(parts, [])]) {
        assert.equal(certificateName(der, "distinguished_name"), distinguished);
        assert.equal(certificateName(der, "common_name"), common);
      }
    });
  }

  it("certificateName - a length has up to four bytes of its own", () => {
    const value = [...new TextEncoder().encode("alice")];
    const lengths: [length: number[], name: string | undefined][] = [
      [[5], "alice"],
      [[0x81, 5], "alice"],
      [[0x82, 0, 5], "alice"],
      [[0x83, 0, 0, 5], "alice"],
      [[0x84, 0, 0, 0, 5], "alice"],
      [[0x85, 0, 0, 0, 0, 5], undefined],
      // The length is not known.
      [[0x80], undefined],
    ];
    for (const [length, name] of lengths) {
      const subject = der(0x31, der(0x30, der(6, CN), [UTF8, ...length, ...value]));
      const before = [der(2, [1]), der(0x30), der(0x30), der(0x30)];
      const whole = der(0x30, der(0x30, ...before, der(0x30, subject)));
      assert.equal(certificateName(new Uint8Array(whole), "common_name"), name, length.join());
    }
    // An unknown length is not 128.
    const long = der(0x31, der(0x30, der(6, CN), [UTF8, 0x80, ...new Uint8Array(128).fill(97)]));
    const whole = der(0x30, der(0x30, der(2, [1]), der(0x30), der(0x30), der(0x30), der(0x30, long)));
    assert.equal(certificateName(new Uint8Array(whole), "common_name"), undefined);
  });

  it("certificateName - malformed text and bytes have no name", () => {
    const wrong: [string, Uint8Array][] = [
      ["no bytes", new Uint8Array()],
      ["UTF-8", certificate([[[CN, "\xff", PRINTABLE]]]).map((byte) => byte === PRINTABLE ? UTF8 : byte)],
      [
        "an odd BMPString",
        certificate([[[CN, "abc", PRINTABLE]]]).map((byte) => byte === PRINTABLE ? BMP : byte),
      ],
      ["a value that is no string", certificate([[[CN, "abc", 0x04]]])],
      [
        "a code point over the limit",
        certificate([[[CN, "\x7f\x7f\x7f\x7f", PRINTABLE]]]).map((byte) =>
          byte === PRINTABLE ? UNIVERSAL : byte
        ),
      ],
    ];
    for (const [what, der] of wrong) assert.equal(certificateName(der, "common_name"), undefined, what);
  });

  it("certificateName - the length of an element takes one byte, or one to four more", () => {
    const whole = certificate([[[CN, "n".repeat(100)]]]);
    const content = whole.subarray(whole[1]! < 0x80 ? 2 : 2 + whole[1]! - 0x80);
    assert.ok(content.length > 0x80 && content.length < 0x100);
    for (let size = 0; size < 7; size++) {
      const length = [
        ...new Array<number>(Math.max(0, size - 1)).fill(0),
        ...(size > 0 ? [content.length] : []),
      ];
      const der = Uint8Array.from([0x30, 0x80 + size, ...length, ...content]);
      const expected = size >= 1 && size <= 4 ? "n".repeat(100) : undefined;
      assert.equal(certificateName(der, "common_name"), expected, `${size}`);
    }
    // 127 bytes are the most that one byte tells.
    for (const length of [118, 119, 120, 121, 122, 127, 128]) {
      assert.equal(certificateName(certificate([[[CN, "n".repeat(length)]]]), "common_name")?.length, length);
    }
  });

  it("certificateName - every kind of string, whole characters only, and identifiers of every size", () => {
    for (const tag of [0x12, PRINTABLE, TELETEX, 0x16, 0x1a]) {
      assert.equal(certificateName(certificate([[[CN, "12 ÿ", tag]]]), "common_name"), "12 ÿ", `${tag}`);
    }
    for (const tag of [0x04, 0x0b, 0x0d, 0x11, 0x15, 0x17, 0x19, 0x1b, 0x1d, 0x1f]) {
      assert.equal(certificateName(certificate([[[CN, "12", tag]]]), "common_name"), undefined, `${tag}`);
    }
    for (let length = 0; length < 9; length++) {
      for (const [tag, size] of [[BMP, 2], [UNIVERSAL, 4]] as const) {
        const zeros = certificate([[[CN, "\0".repeat(length), PRINTABLE]]]);
        // The value is the last but one element: its type, its length, its bytes.
        zeros[zeros.length - 2 - length - 2] = tag;
        const name = certificateName(zeros, "common_name");
        assert.equal(name?.length, length % size === 0 ? length / size : undefined, `${tag} ${length}`);
      }
    }
    const identifiers: [bytes: number[], name: string][] = [
      [[0], "0.0"],
      [[39], "0.39"],
      [[40, 1], "1.0.1"],
      [[79], "1.39"],
      [[80, 0x7f], "2.0.127"],
      [[0x78, 0x81, 0], "2.40.128"],
      [[0x88, 0x37, 0xff, 0xff, 0x7f], "2.999.2097151"],
    ];
    for (const [bytes, name] of identifiers) {
      assert.equal(certificateName(certificate([[[bytes, "v"]]]), "distinguished_name"), `${name}=v`);
    }
  });

  it("certificateName - cut and changed certificates cause no exception", () => {
    const whole = certificate(CASES[0]![0]);
    for (let at = 0; at < whole.length; at++) {
      certificateName(whole.subarray(0, at), "distinguished_name");
      for (const bits of [1, 0x80, 0xff]) {
        const changed = whole.slice();
        changed[at]! ^= bits;
        certificateName(changed, "distinguished_name");
      }
    }
    for (let cut = 0; cut < whole.length - 2; cut++) {
      assert.equal(certificateName(whole.subarray(0, cut), "common_name"), undefined, `cut at ${cut}`);
    }
  });
});
