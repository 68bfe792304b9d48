/** Finds imports, code and strings in TypeScript sources without a compiler. */

/** One import or re-export. */
export interface Import {
  readonly line: number;
  readonly specifier: string;
  /** `import type …` or `export type …`: not there when the program runs. */
  readonly typeOnly: boolean;
}

const IMPORT =
  /\b(?:import|export)\b(\s+type\b(?!\s+from\b|\s*,))?(?:[\w\s{},*$]*?\bfrom)?\s*"([^"]+)"|\bimport\s*\(\s*"([^"]+)"/g;

/** Every static and dynamic import in a source. */
export function importsOf(source: string): Import[] {
  const code = blank(source, { strings: false }).replaceAll("'", '"');
  return Array.from(code.matchAll(IMPORT), (match) => ({
    line: code.slice(0, match.index).split("\n").length,
    specifier: match[2] ?? match[3]!,
    typeOnly: match[1] !== undefined,
  }));
}

/** The lines of a source that match outside of comments and strings. */
export function linesWith(source: string, pattern: RegExp): { line: number; text: string }[] {
  const lines = source.split("\n");
  return blank(source, { strings: true }).split("\n")
    .flatMap((code, index) => pattern.test(code) ? [{ line: index + 1, text: lines[index]!.trim() }] : []);
}

/** The string literals of a source, and the literal parts of its templates, with their quotes. */
export function stringsOf(source: string): { line: number; text: string }[] {
  const found: { line: number; text: string }[] = [];
  let line = 1;
  let counted = 0;
  blank(source, { strings: true }, (from, to) => {
    for (; counted < from; counted++) if (source[counted] === "\n") line++;
    found.push({ line, text: source.slice(from, to) });
  });
  return found;
}

/** The source with its comments, and on demand its strings, replaced by spaces; lines keep their numbers. */
export function blank(
  source: string,
  { strings }: { strings: boolean },
  onString: (from: number, to: number) => void = () => {},
): string {
  let code = "";
  const hide = (from: number, to: number) => code += source.slice(from, to).replace(/[^\n]/g, " ");
  /** The number of open braces in each open `${` of a template. */
  const templates: number[] = [];
  let at = 0;
  while (at < source.length) {
    const char = source[at]!;
    let end = at + 1;
    if (source.startsWith("//", at)) {
      end = indexOr(source, "\n", at);
      hide(at, end);
    } else if (source.startsWith("/*", at)) {
      end = indexOr(source, "*/", at + 2) + 2;
      hide(at, end);
    } else if (char === '"' || char === "'" || (char === "/" && regexMayBegin(code))) {
      end = closing(source, at);
      if (char !== "/") onString(at, end);
      if (strings) hide(at, end);
      else code += source.slice(at, end);
    } else if (char === "`" || (char === "}" && templates.at(-1) === 0)) {
      if (char === "}") templates.pop();
      end = templateEnd(source, at + 1);
      onString(at, end);
      if (source[end - 1] === "{") templates.push(0);
      hide(at, end);
    } else {
      if (templates.length > 0 && char === "{") templates[templates.length - 1]!++;
      if (templates.length > 0 && char === "}") templates[templates.length - 1]!--;
      code += char;
    }
    at = end;
  }
  return code;
}

/** The index after the string or regular expression that begins at `at`. */
function closing(source: string, at: number): number {
  const quote = source[at];
  let inClass = false;
  for (let i = at + 1; i < source.length; i++) {
    const char = source[i]!;
    if (char === "\\") i++;
    else if (quote === "/" && char === "[") inClass = true;
    else if (quote === "/" && char === "]") inClass = false;
    else if ((char === quote && !inClass) || char === "\n") return i + 1;
  }
  return source.length;
}

/** The index after the part of a template that begins at `at`: after its closing backtick, or after the next `${`. */
function templateEnd(source: string, at: number): number {
  for (let i = at; i < source.length; i++) {
    if (source[i] === "\\") i++;
    else if (source[i] === "`") return i + 1;
    else if (source[i] === "$" && source[i + 1] === "{") return i + 2;
  }
  return source.length;
}

/** Whether a slash after this code begins a regular expression. */
function regexMayBegin(code: string): boolean {
  return /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of))\s*$/.test(code.slice(-40));
}

function indexOr(source: string, text: string, from: number): number {
  const at = source.indexOf(text, from);
  return at < 0 ? source.length : at;
}
