/** What a JUnit report of `deno test` or `bun test` says: counts, a time for each file, failures in full. */

/** A failed test. */
export interface Failure {
  /** The file, such as `tests/unit/a_test.ts`; empty where the report does not name it (steps on Deno). */
  readonly file: string;
  readonly name: string;
  /** The error, with its stack. */
  readonly text: string;
}

/** The content of a report. */
export interface Report {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly Failure[];
  /** The files with a failed test. */
  readonly failedFiles: readonly string[];
  /** The seconds of each file, in the order of the report. */
  readonly files: ReadonlyMap<string, number>;
}

/** The failure of a group on Deno, of which a step has the reason. */
const BECAUSE_OF_STEPS = /^\d+ test steps? failed\.?$/;

/** Reads a report. */
export function readReport(xml: string): Report {
  const files = new Map<string, number>();
  const failures: Failure[] = [];
  let total = 0;
  let failed = 0;
  let skipped = 0;
  for (const [whole, attributes, content = ""] of xml.matchAll(CASE)) {
    total++;
    // Deno has the file as the name of a class, but not for steps; Bun has it as `file`.
    const file = /(?:file|classname)="(?:\.\/)?(tests\/[^"]+)"/.exec(attributes!)?.[1] ?? "";
    const seconds = Number(attribute(attributes!, "time") ?? 0);
    if (file !== "") files.set(file, (files.get(file) ?? 0) + seconds);
    if (/<skipped\b/.test(whole)) skipped++;
    const failure = /<(?:failure|error)\b([^>]*?)(?:\/>|>([^]*?)<\/(?:failure|error)>)/.exec(content);
    if (failure === null) continue;
    failed++;
    const text = unescaped(failure[2] ?? attribute(failure[1]!, "message") ?? "");
    failures.push({ file, name: unescaped(attribute(attributes!, "name") ?? ""), text: text.trim() });
  }
  return {
    passed: total - failed - skipped,
    failed,
    skipped,
    failures: failures.filter(({ text }) => !BECAUSE_OF_STEPS.test(text)),
    failedFiles: [...new Set(failures.map(({ file }) => file).filter(Boolean))],
    files,
  };
}

const CASE = /<testcase\b([^>]*?)(?:\/>|>([^]*?)<\/testcase>)/g;

function attribute(attributes: string, name: string): string | undefined {
  return new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1];
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescaped(text: string): string {
  return text.replaceAll(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
    return ENTITIES[name] ?? whole;
  });
}
