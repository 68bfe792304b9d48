/** The broker as a whole. */
import { html, useState } from "../vendor/preact.js";
import { useApi } from "./api.js";
import { Chart, samplesOf } from "./chart.js";
import { bytes, count, duration, rate, rateOf } from "./format.js";
import { Facts, Failure, Tile, Title } from "./ui.js";

/** The ages that charts can show: the age and the distance of the samples in seconds, which RabbitMQ keeps, too. */
const RANGES = [[60, 5, "1 minute"], [600, 5, "10 minutes"], [3600, 60, "1 hour"]];

/** Adds parameters for the samples of a range. */
export function withSamples(path, [age, step], columns) {
  const parameters = ["lengths", "msg_rates"].map((name) => `${name}_age=${age}&${name}_incr=${step}`).join(
    "&",
  );
  return `${path}?${parameters}${columns === undefined ? "" : `&columns=${columns}`}`;
}

/** A choice of the range of charts. @returns the range and the element */
export function useRange() {
  const [at, setAt] = useState(0);
  const element = html`<label class="range">Charts of the last <select value=${at}
    onChange=${(event) => setAt(Number(event.target.value))}>${
    RANGES.map(([_age, _step, label], value) => html`<option value=${value}>${label}</option>`)
  }</select></label>`;
  return [RANGES[at], element];
}

/** The charts of messages in queues and of their rates. */
export function MessageCharts({ lengths, stats }) {
  const line = (details, label, colour, asRate) => ({ label, colour, ...samplesOf(details, asRate) });
  const rates = [["publish", "published", "accent"], ["deliver_get", "delivered", "second"], [
    "ack",
    "acknowledged",
    "third",
  ]]
    .filter(([name]) => stats?.[`${name}_details`]?.samples !== undefined)
    .map(([name, label, colour]) => line(stats[`${name}_details`], label, colour, true));
  return html`<div class="charts">
    ${
    lengths?.messages_ready_details?.samples !== undefined &&
    html`<${Chart} title="Messages in queues" format=${count} series=${[
      line(lengths.messages_ready_details, "ready", "accent", false),
      line(lengths.messages_unacknowledged_details, "unacknowledged", "second", false),
    ]} />`
  }
    ${
    rates.length > 0 &&
    html`<${Chart} key=${rates.length} title="Messages per second" format=${rate} series=${rates} />`
  }
  </div>`;
}

export function OverviewView() {
  const [range, chooseRange] = useRange();
  const { data, error } = useApi(withSamples("/api/overview", range));
  const { data: nodes } = useApi("/api/nodes");
  const totals = data?.object_totals ?? {};
  const lengths = data?.queue_totals ?? {};
  const stats = data?.message_stats ?? {};
  return html`<div class="view">
    <div class="heading"><${Title} text="Overview" />${chooseRange}</div>
    <${Failure} error=${error} />
    ${
    (nodes ?? []).filter((node) => node.mem_alarm || node.disk_free_alarm).map((node) =>
      html`<p class="failure" role="alert">Publishers are blocked: ${node.name} has too little ${
        node.mem_alarm ? "memory" : "disk space"
      }</p>`
    )
  }
    <dl class="tiles">
      <${Tile} name="Ready" value=${count(lengths.messages_ready)} />
      <${Tile} name="Unacknowledged" value=${count(lengths.messages_unacknowledged)} />
      <${Tile} name="Published" value=${rate(rateOf(stats, "publish") ?? 0)} sub="/s" />
      <${Tile} name="Delivered" value=${rate(rateOf(stats, "deliver_get") ?? 0)} sub="/s" />
      <${Tile} name="Acknowledged" value=${rate(rateOf(stats, "ack") ?? 0)} sub="/s" />
      <${Tile} name="Queues" value=${count(totals.queues)} />
      <${Tile} name="Connections" value=${count(totals.connections)} />
      <${Tile} name="Channels" value=${count(totals.channels)} />
      <${Tile} name="Consumers" value=${count(totals.consumers)} />
    </dl>
    <${MessageCharts} lengths=${data?.queue_totals} stats=${data?.message_stats} />
    ${(nodes ?? []).map((node) => html`<${Node} key=${node.name} node=${node} />`)}
    <section aria-labelledby="listeners">
      <h2 id="listeners">Listeners</h2>
      <ul class="chips">${
    (data?.listeners ?? []).map(({ protocol, ip_address, port }) =>
      html`<li key=${`${protocol}${port}`}>${protocol} <span class="muted">${ip_address}:${port}</span></li>`
    )
  }</ul>
    </section>
  </div>`;
}

function Node({ node }) {
  const limited = (used, limit, format) =>
    used === undefined ? undefined : `${format(used)} of ${format(limit)}`;
  return html`
    <section aria-label=${`Node ${node.name}`}>
      <h2>Node <span class="name">${node.name}</span></h2>
      <${Facts} facts=${[
        ["Running for", node.uptime === undefined ? undefined : duration(node.uptime)],
        ["Memory", limited(node.mem_used, node.mem_limit, bytes)],
        ["Free disk space", node.disk_free === undefined ? undefined : bytes(node.disk_free)],
        [
          "Open files",
          node.fd_total > 1e9 ? count(node.fd_used) : limited(node.fd_used, node.fd_total, count),
        ],
        ["Sockets", limited(node.sockets_used, node.sockets_total, count)],
        ["Processors", count(node.processors)],
      ]} />
    </section>
  `;
}
