import { MqcatError } from "../errors.ts";

/** The most characters of a filter that an excerpt shows. */
const SHOWN = 76;

/** A filter is malformed. */
export class FilterError extends MqcatError {
  /** The filter. */
  readonly text: string;
  /** The index of the mistake in the filter; its length when something is missing at the end. */
  readonly position: number;

  /** @param reason what was expected, and what is there instead */
  constructor(text: string, position: number, reason: string, options?: ErrorOptions) {
    super("ERR_FILTER", `Cannot use the filter: ${reason} (at character ${position + 1})`, options);
    this.text = text;
    this.position = position;
  }

  /** The filter around the mistake, and a second line with a caret below the mistake. */
  get excerpt(): readonly [filter: string, caret: string] {
    const start = Math.max(0, Math.min(this.position - SHOWN / 2, this.text.length - SHOWN));
    const shown = this.text.slice(start, start + SHOWN).replaceAll(/\p{Cc}/gu, " ");
    const before = [...shown.slice(0, this.position - start)];
    return [shown, `${" ".repeat(before.length)}^`];
  }
}

/** A filter cannot be applied to a message, because its body is too large for a test of its content. */
export class FilterLimitError extends MqcatError {
  /** Makes the error for a body of `size` bytes. */
  constructor(size: number, most: number) {
    super(
      "ERR_LIMIT",
      `Cannot test the content of a message of ${size} bytes as filters are limited to ${most} bytes: ` +
        `start the filter with 'size <= ${most} and', or test other fields`,
    );
  }
}
