/** `sub --stats`: counts and rates by topic instead of messages. */
import { isTerminal } from "../../lib/transport/runtime/stdout.ts";
import { UsageError } from "../app/errors.ts";
import { printPage } from "../app/page.ts";
import type { Session } from "../app/session.ts";
import { shortBytes, shortNumber } from "../app/text.ts";
import type { Screen } from "../app/screen.ts";
import { countRecord, type TopicCount, TopicCounts, topicText } from "./topic_counts.ts";

const INTERVAL_MS = 1000;
const TITLES = ["topic", "messages", "msg/s", "bytes/s"];

/** The values of the options that --stats replaces or obeys. */
export interface StatsOptions {
  readonly stats?: boolean | undefined;
  readonly json: boolean | undefined;
  readonly null: boolean | undefined;
  readonly out: unknown;
  readonly format: unknown;
  readonly exec: unknown;
}

/**
 * Counts the messages of a command if `--stats` is given, and shows the counts: each second on a terminal or as JSON,
 * else at the end.
 *
 * @throws {UsageError} the options contradict each other
 */
export async function statsOf(session: Session, options: StatsOptions): Promise<TopicCounts | undefined> {
  if (!options.stats) return undefined;
  const { json, format, exec } = options;
  if (format !== undefined || exec !== undefined || options.null || options.out !== undefined) {
    throw new UsageError(
      "--stats prints counts instead of messages: remove -f, --out, -0 and --exec (-J is possible)",
    );
  }
  const counts = new TopicCounts();
  const isLive = !json && isTerminal(0) && isTerminal(1);
  const screen = isLive ? await openScreen(session) : undefined;
  const show = () => {
    if (json) printPage(recordLine(counts));
    else screen?.show(tableLines(counts, screen.width).slice(0, screen.height));
  };
  const timer = setInterval(() => {
    counts.tick();
    show();
  }, INTERVAL_MS);
  show();
  session.onEnd(() => {
    clearInterval(timer);
    screen?.close();
    counts.finish();
    try {
      printPage(json ? recordLine(counts) : tableLines(counts).join("\n"));
    } catch (error) {
      // A terminal that has hung up shows nothing more.
      if (session.signal !== "SIGHUP") throw error;
    }
    return Promise.resolve();
  });
  return counts;
}

async function openScreen(session: Session): Promise<Screen> {
  const { Screen } = await import("../app/screen.ts");
  return new Screen(session, () => {}, () => {});
}

function recordLine(counts: TopicCounts): string {
  const { topic: _, ...total } = countRecord(counts.total());
  return JSON.stringify({ time: new Date().toISOString(), ...total, topics: counts.rows().map(countRecord) });
}

/** The table, with the sum in its last line. */
function tableLines(counts: TopicCounts, width = Infinity): string[] {
  const cells = ({ topic, messages, rate, byteRate }: TopicCount) => [
    topicText(topic),
    `${messages}`,
    rate < 10 ? rate.toFixed(1) : shortNumber(rate),
    shortBytes(byteRate),
  ];
  const rows = counts.rows().map(cells);
  const total = cells(counts.total());
  total[0] = `${rows.length} ${rows.length === 1 ? "topic" : "topics"}`;
  const all = [TITLES, total, ...rows];
  const widths = TITLES.map((_, at) => all.reduce((most, row) => Math.max(most, row[at]!.length), 0));
  const others = widths.slice(1).reduce((sum, width) => sum + 2 + width, 0);
  widths[0] = Math.max(8, Math.min(widths[0]!, width - others));
  return all.map(([name, ...numbers]) =>
    [
      name!.slice(0, widths[0]).padEnd(widths[0]!),
      ...numbers.map((cell, at) => cell.padStart(widths[at + 1]!)),
    ]
      .join("  ").slice(0, width)
  );
}
