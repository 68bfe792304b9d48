import type { Reporter } from "./reporter.ts";

/** A blockage that is over sooner is part of the normal flow control, and not reported, in milliseconds. */
const NOTICE_MS = 200;

/**
 * Reports that a broker takes no messages, and its end.
 *
 * @param begin the first words of the line at the beginning; the reason follows
 * @param end the line at the end
 * @returns a function to call with the reason at each beginning, and with undefined at each end
 */
export function blockageReporter(
  reporter: Reporter,
  begin: string,
  end: string,
): (reason: string | undefined) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shown = false;
  return (reason) => {
    clearTimeout(timer);
    if (reason !== undefined) {
      timer = setTimeout(() => {
        shown = true;
        reporter.warn(`${begin}: ${reason}`);
      }, NOTICE_MS);
      return;
    }
    if (shown) reporter.info(end);
    shown = false;
  };
}
