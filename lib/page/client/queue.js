/** One queue: its figures, bindings and consumers, and what can be done with it. */
import { html, useState } from "../vendor/preact.js";
import { call, path, useApi, useChange, useShared } from "./api.js";
import { exchangeLink } from "./exchanges.js";
import { bytes, count, rate, rateOf } from "./format.js";
import { Browse, Move, Publish } from "./messages.js";
import { MessageCharts, useRange, withSamples } from "./overview.js";
import { Facts, Failure, FormDialog, Table, Tile, Title } from "./ui.js";

export function QueueView({ names: [vhost, name] }) {
  const { user } = useShared();
  const change = useChange();
  const [range, chooseRange] = useRange();
  const [dialog, setDialog] = useState();
  const [isBrowsing, setBrowsing] = useState(false);
  const url = `/api/queues/${path(vhost, name)}`;
  const { data: queue, error, reload } = useApi(withSamples(url, range));
  const { data: bindings } = useApi(`${url}/bindings`, true);
  const stats = queue?.message_stats ?? {};
  const open = (which) => () => setDialog(which);
  const close = () => setDialog(undefined);
  const purge = () => change(() => call("DELETE", `${url}/contents`).then(reload), `Purged ${name}`);
  const remove = () =>
    change(async () => {
      await call("DELETE", url);
      location.hash = "#/queues";
    }, `Deleted ${name}`);
  return html`<div class="view">
    <nav class="trail"
      aria-label="Path"><a href="#/queues">Queues</a> / <span class="muted">${vhost}</span></nav>
    <div class="heading"><${Title} text=${name} />${chooseRange}</div>
    <${Failure} error=${error} />
    <div class="buttons">
      <button type="button" aria-expanded=${isBrowsing} onClick=${() =>
    setBrowsing(!isBrowsing)}>Browse messages</button>
      ${
    user.write && html`
      <button type="button" onClick=${open("publish")}>Publish</button>
      ${user.move && html`<button type="button" onClick=${open("move")}>Move messages</button>`}
      <button type="button" class="danger" onClick=${open("purge")}>Purge</button>
      <button type="button" class="danger" onClick=${open("delete")}>Delete</button>
    `
  }
    </div>
    ${isBrowsing && html`<${Browse} url=${url} name=${name} />`}
    <dl class="tiles">
      <${Tile} name="Ready" value=${count(queue?.messages_ready)} />
      <${Tile} name="Unacknowledged" value=${count(queue?.messages_unacknowledged)} />
      <${Tile} name="In" value=${rate(rateOf(stats, "publish") ?? 0)} sub="/s" />
      <${Tile} name="Out" value=${rate(rateOf(stats, "deliver_get") ?? 0)} sub="/s" />
      <${Tile} name="Acknowledged" value=${rate(rateOf(stats, "ack") ?? 0)} sub="/s" />
      <${Tile} name="Redelivered" value=${rate(rateOf(stats, "redeliver") ?? 0)} sub="/s" />
      <${Tile} name="Consumers" value=${count(queue?.consumers)} />
      <${Tile} name="Bodies" value=${bytes(queue?.message_bytes)} />
    </dl>
    <${MessageCharts} lengths=${queue} stats=${queue?.message_stats} />
    ${
    queue !== undefined && html`
      <section aria-labelledby="facts">
        <h2 id="facts">Properties</h2>
        <${Facts} facts=${factsOf(queue)} />
      </section>
    `
  }
    <section aria-labelledby="bindings">
      <h2 id="bindings">Bindings</h2>
      <${Bindings} rows=${bindings} />
    </section>
    <section aria-labelledby="consumers">
      <h2 id="consumers">Consumers</h2>
      <${Consumers} rows=${queue?.consumer_details} />
    </section>
    ${
    dialog === "publish" &&
    html`<${Publish} vhost=${vhost} exchange="" routingKey=${name} onDone=${reload} onClose=${close} />`
  }
    ${
    dialog === "move" &&
    html`<${Move} url=${url} vhost=${vhost} name=${name} onDone=${reload} onClose=${close} />`
  }
    ${
    dialog === "purge" && html`
      <${FormDialog} title=${`Purge ${name}?`} action="Purge" danger onSubmit=${purge} onClose=${close}>
        <p>All ${count(queue?.messages_ready)} ready messages are deleted. This cannot be undone.</p>
        <//>
    `
  }
    ${
    dialog === "delete" && html`
      <${FormDialog} title=${`Delete ${name}?`} action="Delete" danger onSubmit=${remove} onClose=${close}>
        <p>The queue, its ${count(
          queue?.messages,
        )} messages and its bindings are deleted. This cannot be undone.</p>
        <//>
    `
  }
  </div>`;
}

function factsOf(queue) {
  const flags = [
    queue.durable ? "durable" : "transient",
    queue.auto_delete && "auto-delete",
    queue.exclusive && "exclusive",
  ];
  return [
    ["Type", queue.type],
    ["Flags", flags.filter(Boolean).join(", ")],
    ["State", queue.state],
    ["Policy", queue.policy ?? undefined],
    ["Memory", bytes(queue.memory)],
    ["Node", queue.node],
    ...Object.entries(queue.arguments ?? {}).map(([name, value]) => [name, String(value)]),
  ];
}

function Bindings({ rows }) {
  const columns = [
    {
      title: "From exchange",
      cell: ({ vhost, source }) =>
        source === ""
          ? html`<span class="muted">default exchange</span>`
          : html`<a class="name" href=${exchangeLink(vhost, source)}>${source}</a>`,
    },
    { title: "Routing key", cell: ({ routing_key }) => html`<code>${routing_key}</code>` },
    {
      title: "Arguments",
      cell: ({ arguments: given }) =>
        Object.keys(given).length === 0 ? "" : html`<code>${JSON.stringify(given)}</code>`,
    },
  ];
  return html`<${Table} caption="Bindings" columns=${columns} rows=${rows} keyOf=${(
    { source, properties_key },
  ) => `${source} ${properties_key}`} />`;
}

function Consumers({ rows }) {
  const columns = [
    { title: "Tag", cell: ({ consumer_tag }) => html`<span class="name">${consumer_tag}</span>` },
    { title: "Channel", cell: ({ channel_details }) => channel_details?.name },
    { title: "Acknowledges", cell: ({ ack_required }) => ack_required ? "yes" : "no" },
    { title: "Prefetch", number: true, cell: ({ prefetch_count }) => count(prefetch_count) },
  ];
  return html`<${Table} caption="Consumers" columns=${columns} rows=${rows} keyOf=${(
    { consumer_tag, channel_details },
  ) => `${channel_details?.name} ${consumer_tag}`} />`;
}
