import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import html from "./client/index.html" with { type: "text" };
import api from "./client/api.js" with { type: "text" };
import app from "./client/app.js" with { type: "text" };
import chart from "./client/chart.js" with { type: "text" };
import connections from "./client/connections.js" with { type: "text" };
import drawing from "./client/drawing.js" with { type: "text" };
import exchanges from "./client/exchanges.js" with { type: "text" };
import format from "./client/format.js" with { type: "text" };
import messages from "./client/messages.js" with { type: "text" };
import overview from "./client/overview.js" with { type: "text" };
import queue from "./client/queue.js" with { type: "text" };
import queues from "./client/queues.js" with { type: "text" };
import ui from "./client/ui.js" with { type: "text" };
import style from "./client/style.css" with { type: "text" };
import preact from "./vendor/preact.js" with { type: "text" };
import uplot from "./vendor/uplot.js" with { type: "text" };
import uplotStyle from "./vendor/uplot.css" with { type: "text" };

/** A file of the page. */
export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly gzipped: Buffer;
  /** The value of the header `ETag`. */
  readonly tag: string;
}

const HTML = "text/html; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";
const STYLE = "text/css; charset=utf-8";

const CLIENT = {
  api,
  app,
  chart,
  connections,
  drawing,
  exchanges,
  format,
  messages,
  overview,
  queue,
  queues,
  ui,
};
const VENDOR = { preact, uplot };

/** All files of the page by their paths, which are those of this folder: a script finds what it imports. */
export const ASSETS: ReadonlyMap<string, Asset> = new Map([
  ["/", asset(HTML, html)],
  ["/page/client/style.css", asset(STYLE, style)],
  ["/page/vendor/uplot.css", asset(STYLE, uplotStyle)],
  ...Object.entries(CLIENT).map(([name, text]) => [`/page/client/${name}.js`, asset(SCRIPT, text)] as const),
  ...Object.entries(VENDOR).map(([name, text]) => [`/page/vendor/${name}.js`, asset(SCRIPT, text)] as const),
]);

function asset(type: string, text: string): Asset {
  const body = Buffer.from(text);
  const tag = createHash("sha256").update(body).digest("base64url").slice(0, 16);
  return { type, body, gzipped: gzipSync(body), tag: `"${tag}"` };
}
