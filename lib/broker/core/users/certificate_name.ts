/** How the user name is taken from a client certificate, in RabbitMQ's words (`ssl_cert_login_from`). */
export type CertLoginFrom = "distinguished_name" | "common_name";

const COMMON_NAME = "2.5.4.3";

/** The names of attributes as RabbitMQ writes them; others are written as their object identifier. */
const NAMES: Readonly<Record<string, string>> = {
  [COMMON_NAME]: "CN",
  "2.5.4.4": "SN",
  "2.5.4.5": "SERIALNUMBER",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.12": "TITLE",
  "2.5.4.42": "GIVENNAME",
  "2.5.4.43": "INITIALS",
  "2.5.4.44": "GENERATIONQUALIFIER",
  "2.5.4.65": "PSEUDONYM",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "EMAILADDRESS",
};

/** An attribute of a distinguished name, `CN=alice` for example. */
interface Attribute {
  /** The object identifier in numbers. */
  readonly type: string;
  readonly value: string;
}

/**
 * Returns the user name of a certificate as RabbitMQ 3.10 does: the whole subject in the form of RFC 4514, the last part
 * first, or its common names, joined by commas.
 *
 * @param der the certificate
 * @returns undefined if there is no such name, or if it cannot be read
 */
export function certificateName(der: Uint8Array, from: CertLoginFrom): string | undefined {
  let subject: Attribute[][];
  try {
    subject = readSubject(der);
  } catch {
    return undefined;
  }
  if (from === "common_name") {
    const names = subject.flat().filter(({ type }) => type === COMMON_NAME).map(({ value }) => value);
    return names.length === 0 ? undefined : names.join(",");
  }
  const parts = subject.map((part) =>
    part.map(({ type, value }) => `${NAMES[type] ?? type}=${escapeValue(value)}`).join("+")
  );
  return parts.reverse().join(",");
}

/** Escapes a value (RFC 4514, 2.4). RabbitMQ also escapes `~` and all that is not ASCII, byte by byte. */
function escapeValue(value: string): string {
  let out = "";
  const bytes = new TextEncoder().encode(value);
  for (const [at, byte] of bytes.entries()) {
    const char = String.fromCharCode(byte);
    const isEdge = char === " " && (at === 0 || at === bytes.length - 1) || char === "#" && at === 0;
    if (isEdge || '"+,;<>\\'.includes(char)) out += `\\${char}`;
    else if (byte < 32 || byte >= 126) out += `\\${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    else out += char;
  }
  return out;
}

/** Reads the subject of a certificate (RFC 5280, 4.1): a sequence of sets of attributes. */
function readSubject(der: Uint8Array): Attribute[][] {
  const tbs = [...elements(elements(first(der).content).next().value!.content)];
  // The version is optional. Serial number, signature, issuer and validity come first.
  const subject = tbs[tbs[0]!.tag === 0xa0 ? 5 : 4]!;
  return [...elements(subject.content)].map((set) =>
    [...elements(set.content)].map((attribute) => {
      const [type, value] = [...elements(attribute.content)] as [Element, Element];
      return { type: readIdentifier(type.content), value: readText(value) };
    })
  );
}

/** An element of DER (X.690, 8.1). */
interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

function first(der: Uint8Array): Element {
  return elements(der).next().value!;
}

/** Reads elements one after another. @throws {RangeError} one is longer than the bytes */
function* elements(der: Uint8Array): Generator<Element, undefined> {
  for (let at = 0; at < der.length;) {
    const tag = der[at]!;
    let length = der[at + 1]!;
    at += 2;
    if (length >= 0x80) {
      const size = length - 0x80;
      if (size < 1 || size > 4) throw new RangeError("The length of an element is malformed");
      length = 0;
      for (let i = 0; i < size; i++) length = length * 256 + der[at + i]!;
      at += size;
    }
    // A missing byte makes the length NaN.
    if (!(at + length <= der.length)) throw new RangeError("An element is longer than the certificate");
    yield { tag, content: der.subarray(at, at + length) };
    at += length;
  }
}

/** Reads an object identifier (X.690, 8.19). */
function readIdentifier(content: Uint8Array): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of content) {
    number = number * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    if (numbers.length === 0) {
      const top = Math.min(Math.floor(number / 40), 2);
      numbers.push(top, number - 40 * top);
    } else numbers.push(number);
    number = 0;
  }
  return numbers.join(".");
}

/** Decodes a string of ASN.1. @throws {TypeError | RangeError} its encoding is malformed, or it is no string */
function readText({ tag, content }: Element): string {
  switch (tag) {
    case 0x0c: // UTF8String
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    case 0x1e: // BMPString
      if (content.length % 2 > 0) break;
      return codePoints(content, 2);
    case 0x1c: // UniversalString
      if (content.length % 4 > 0) break;
      return codePoints(content, 4);
    case 0x12: // NumericString
    case 0x13: // PrintableString
    case 0x14: // TeletexString, of which only Latin-1 is in use
    case 0x16: // IA5String
    case 0x1a: // VisibleString
      return codePoints(content, 1);
  }
  throw new TypeError(`The type ${tag} is no string`);
}

function codePoints(content: Uint8Array, size: number): string {
  let text = "";
  for (let at = 0; at < content.length; at += size) {
    let point = 0;
    for (let i = 0; i < size; i++) point = point * 256 + content[at + i]!;
    text += String.fromCodePoint(point);
  }
  return text;
}
