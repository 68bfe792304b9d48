/** Clients: their connections and consumers. */
import { html, useState } from "../vendor/preact.js";
import { call, path, useChange, useShared } from "./api.js";
import { bytes, count, rateOf } from "./format.js";
import { ListFilter, queueLink, useList } from "./queues.js";
import { Failure, FormDialog, Pager, Table, Title } from "./ui.js";

const perSecond = (title, name) => ({
  title,
  sort: `${name}_details.rate`,
  number: true,
  cell: (row) => bytes(rateOf(row, name) ?? 0),
});

export function ConnectionsView({ params, set }) {
  const { user } = useShared();
  const change = useChange();
  const [closing, setClosing] = useState();
  const list = useList("/api/connections", params, set, { by: "name", reverse: false });
  const close = () =>
    change(async () => {
      await call("DELETE", `/api/connections/${path(closing)}`);
      list.reload();
    }, `Closed ${closing}`);
  const columns = [
    {
      title: "Client",
      sort: "name",
      cell: ({ name, client_properties: client }) =>
        html`<span class="name">${name}</span> <span class="muted">${
          client?.connection_name ?? client?.product
        }</span>`,
    },
    { title: "User", sort: "user", cell: ({ user }) => user },
    { title: "Virtual host", sort: "vhost", minor: true, cell: ({ vhost }) => vhost },
    {
      title: "Protocol",
      sort: "protocol",
      minor: true,
      cell: ({ protocol, ssl }) => html`${protocol}${ssl && " TLS"}`,
    },
    { title: "State", sort: "state", cell: ({ state }) => state },
    {
      title: "Channels",
      sort: "channels",
      number: true,
      minor: true,
      cell: ({ channels }) => count(channels),
    },
    perSecond("From client /s", "recv_oct"),
    perSecond("To client /s", "send_oct"),
    ...(user.write
      ? [{
        title: "Actions",
        cell: ({ name }) =>
          html`<button type="button" aria-label=${`Close ${name}`} onClick=${() =>
            setClosing(name)}>Close</button>`,
      }]
      : []),
  ];
  return html`<div class="view">
    <${Title} text="Connections" />
    <${ListFilter} what="Connections" params=${params} set=${set} vhosts=${[]} />
    <${Failure} error=${list.error} />
    <${Table} caption="Connections" columns=${columns} rows=${list.rows} sort=${list.sort} onSort=${list.onSort}
      keyOf=${({ name }) => name} empty="No client is connected." />
    <${Pager} list=${list.data} onPage=${list.onPage} />
    ${
    closing !== undefined && html`
      <${FormDialog} title="Close the connection?" action="Close the connection" danger onSubmit=${close}
        onClose=${() => setClosing(undefined)}>
        <p class="name">${closing}</p>
        <p>Clients usually connect again.</p>
        <//>
    `
  }
  </div>`;
}

export function ConsumersView({ params, set, vhosts }) {
  const list = useList("/api/consumers", params, set, { by: "queue.name", reverse: false });
  const columns = [
    {
      title: "Queue",
      sort: "queue.name",
      cell: ({ queue: { vhost, name } }) => html`<a class="name" href=${queueLink(vhost, name)}>${name}</a>`,
    },
    { title: "Channel", sort: "channel_details.name", cell: ({ channel_details }) => channel_details.name },
    { title: "Tag", minor: true, sort: "consumer_tag", cell: ({ consumer_tag }) => consumer_tag },
    {
      title: "Acknowledges",
      minor: true,
      sort: "ack_required",
      cell: ({ ack_required }) => ack_required ? "yes" : "no",
    },
    { title: "Active", sort: "active", minor: true, cell: ({ active }) => active ? "yes" : "waits" },
    {
      title: "Prefetch",
      sort: "prefetch_count",
      number: true,
      cell: ({ prefetch_count }) => count(prefetch_count),
    },
  ];
  return html`<div class="view">
    <${Title} text="Consumers" />
    ${
    vhosts.length > 1 &&
    html`<${ListFilter} what="Consumers" params=${params} set=${set} vhosts=${vhosts} />`
  }
    <${Failure} error=${list.error} />
    <${Table} caption="Consumers" columns=${columns} rows=${list.rows} sort=${list.sort} onSort=${list.onSort}
      keyOf=${({ channel_details, consumer_tag }) =>
    `${channel_details.name} ${consumer_tag}`} empty="There are no consumers." />
    <${Pager} list=${list.data} onPage=${list.onPage} />
  </div>`;
}
