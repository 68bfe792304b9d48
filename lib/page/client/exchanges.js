/** Exchanges, and a drawing of their bindings. */
import { html, useState } from "../vendor/preact.js";
import { call, path, useApi, useChange, useShared } from "./api.js";
import { count, rate, rateOf } from "./format.js";
import { Drawing } from "./drawing.js";
import { Publish } from "./messages.js";
import { ListFilter, queueLink, useList, VhostField } from "./queues.js";
import { Facts, Failure, Field, FormDialog, Pager, Table, Tile, Title } from "./ui.js";

/** The default exchange has a name in paths. */
const apiName = (name) => name === "" ? "amq.default" : name;

export const exchangeLink = (vhost, name) =>
  `#/exchanges/${encodeURIComponent(vhost)}/${encodeURIComponent(apiName(name))}`;

/** With more queues, only the bindings of one exchange are drawn. */
const MAX_QUEUES = 1000;

export function ExchangesView({ params, set, vhosts }) {
  const { user } = useShared();
  const [isDeclaring, setDeclaring] = useState(false);
  const list = useList("/api/exchanges", params, set, { by: "name", reverse: false });
  const columns = [
    {
      title: "Name",
      sort: "name",
      cell: ({ vhost, name }) =>
        html`<a class="name" href=${exchangeLink(vhost, name)}>${
          name === "" ? "default exchange" : name
        }</a>`,
    },
    ...(vhosts.length > 1
      ? [{ title: "Virtual host", sort: "vhost", minor: true, cell: ({ vhost }) => vhost }]
      : []),
    { title: "Type", sort: "type", cell: ({ type }) => type },
    { title: "Flags", minor: true, cell: flagsOf },
    {
      title: "In /s",
      sort: "message_stats.publish_in_details.rate",
      number: true,
      cell: (one) => rate(rateOf(one.message_stats, "publish_in") ?? 0),
    },
    {
      title: "Out /s",
      sort: "message_stats.publish_out_details.rate",
      number: true,
      cell: (one) => rate(rateOf(one.message_stats, "publish_out") ?? 0),
    },
  ];
  return html`
    <div class="view">
      <${Title} text="Exchanges" />
      <${ListFilter} what="Exchanges" params=${params} set=${set} vhosts=${vhosts}>
          ${user.write &&
            html`<button type="button" onClick=${() => setDeclaring(true)}>Declare an exchange</button>`}
        <//>
        <${Failure} error=${list.error} />
        <${Table} caption="Exchanges" columns=${columns} rows=${list.rows} sort=${list.sort} onSort=${list
          .onSort}
          keyOf=${({ vhost, name }) => `${vhost} ${name}`} empty="No exchange has such a name." />
        <${Pager} list=${list.data} onPage=${list.onPage} />
        <${Map} vhost=${params.get("vhost") || vhosts[0]} />
        ${isDeclaring &&
          html`<${DeclareExchange} vhosts=${vhosts} onDone=${list.reload} onClose=${() =>
            setDeclaring(false)} />`}
      </div>
  `;
}

function flagsOf({ durable, auto_delete, internal }) {
  return [!durable && "transient", auto_delete && "auto-delete", internal && "internal"].filter(Boolean).join(
    ", ",
  );
}

/** Who is bound to whom in a virtual host. */
function Map({ vhost }) {
  const { data: overview } = useApi("/api/overview?columns=object_totals.queues", true);
  const queues = overview?.object_totals?.queues;
  const isSmall = queues !== undefined && queues <= MAX_QUEUES;
  const columns = "columns=vhost,source,destination,destination_type,routing_key";
  const { data: bindings } = useApi(
    isSmall && vhost !== undefined ? `/api/bindings/${path(vhost)}?${columns}` : undefined,
    true,
  );
  if (queues !== undefined && !isSmall) {
    return html`<p class="muted">There are ${
      count(queues)
    } queues: choose an exchange to see a drawing of its bindings.</p>`;
  }
  return html`
    <section aria-labelledby="map">
      <h2 id="map">Bindings in <span class="name">${vhost}</span></h2>
      <${Drawing} vhost=${vhost} bindings=${bindings?.filter(({ source }) => source !== "")} />
    </section>
  `;
}

export function ExchangeView({ names: [vhost, given] }) {
  const name = given === "amq.default" ? "" : given;
  const { user } = useShared();
  const change = useChange();
  const [dialog, setDialog] = useState();
  const url = `/api/exchanges/${path(vhost, name)}`;
  const { data: exchange, error } = useApi(url);
  const outgoing = useApi(`${url}/bindings/source`, true);
  const { data: incoming } = useApi(`${url}/bindings/destination`, true);
  const shown = name === "" ? [] : [...incoming ?? [], ...outgoing.data ?? []];
  const title = name === "" ? "default exchange" : name;
  const close = () => setDialog(undefined);
  const unbind = (binding) =>
    change(async () => {
      const kind = binding.destination_type === "queue" ? "q" : "e";
      await call(
        "DELETE",
        `/api/bindings/${path(vhost)}/e/${path(name)}/${kind}/${
          path(binding.destination, binding.properties_key)
        }`,
      );
      outgoing.reload();
    }, `Removed the binding to ${binding.destination}`);
  const remove = () =>
    change(async () => {
      await call("DELETE", url);
      location.hash = "#/exchanges";
    }, `Deleted ${name}`);
  return html`<div class="view">
    <nav class="trail"
      aria-label="Path"><a href="#/exchanges">Exchanges</a> / <span class="muted">${vhost}</span></nav>
    <${Title} text=${title} />
    <${Failure} error=${error} />
    ${
    user.write && html`<div class="buttons">
      ${
      name !== "" && html`
        <button type="button" onClick=${() => setDialog("publish")}>Publish</button>
        <button type="button" onClick=${() => setDialog("bind")}>Bind</button>
        <button type="button" class="danger" onClick=${() => setDialog("delete")}>Delete</button>
      `
    }</div>`
  }
    <dl class="tiles">
      <${Tile} name="In" value=${rate(rateOf(exchange?.message_stats, "publish_in") ?? 0)} sub="/s" />
      <${Tile} name="Out" value=${rate(rateOf(exchange?.message_stats, "publish_out") ?? 0)} sub="/s" />
      <${Tile} name="Published" value=${count(exchange?.message_stats?.publish_in ?? 0)} />
      <${Tile} name="Routed to queues" value=${count(exchange?.message_stats?.publish_out ?? 0)} />
    </dl>
    ${
    exchange !== undefined && html`<${Facts} facts=${[
      ["Type", exchange.type],
      ["Flags", flagsOf(exchange) || "durable"],
      ["Policy", exchange.policy],
      ...Object.entries(exchange.arguments).map(([key, value]) => [key, String(value)]),
    ]} />`
  }
    ${
    name === "" ? html`<p class="muted">Every queue is bound to the default exchange by its name.</p>` : html`
      <section aria-labelledby="drawing">
        <h2 id="drawing">Bindings</h2>
        <${Drawing} vhost=${vhost} bindings=${shown} focus=${name} />
        <${BindingTable} rows=${outgoing.data} onUnbind=${user.write && unbind} />
      </section>
    `
  }
    ${dialog === "publish" && html`<${Publish} vhost=${vhost} exchange=${name} onClose=${close} />`}
    ${
    dialog === "bind" &&
    html`<${Bind} vhost=${vhost} name=${name} onDone=${outgoing.reload} onClose=${close} />`
  }
    ${
    dialog === "delete" && html`
      <${FormDialog} title=${`Delete ${name}?`} action="Delete" danger onSubmit=${remove} onClose=${close}>
        <p>The exchange and its bindings are deleted. This cannot be undone.</p>
        <//>
    `
  }
  </div>`;
}

function BindingTable({ rows, onUnbind }) {
  const columns = [
    {
      title: "To",
      cell: ({ vhost, destination, destination_type: kind }) => {
        const link = kind === "queue" ? queueLink : exchangeLink;
        return html`<a class="name" href=${link(vhost, destination)}>${destination}</a>`;
      },
    },
    { title: "Kind", cell: ({ destination_type }) => destination_type },
    { title: "Routing key", cell: ({ routing_key }) => html`<code>${routing_key}</code>` },
    {
      title: "Arguments",
      minor: true,
      cell: ({ arguments: given }) =>
        Object.keys(given).length === 0 ? "" : html`<code>${JSON.stringify(given)}</code>`,
    },
    ...(onUnbind
      ? [{
        title: "Actions",
        cell: (row) =>
          html`<button type="button" aria-label=${`Unbind ${row.destination}`} onClick=${() =>
            onUnbind(row)}>Unbind</button>`,
      }]
      : []),
  ];
  return html`
    <${Table} caption="Bindings from this exchange" columns=${columns} rows=${rows}
      empty="Nothing is bound to it."
      keyOf=${(row) => `${row.destination_type} ${row.destination} ${row.properties_key}`} />
  `;
}

function Bind({ vhost, name, onDone, onClose }) {
  const change = useChange();
  const [kind, setKind] = useState("q");
  const [to, setTo] = useState("");
  const [key, setKey] = useState("");
  const submit = () =>
    change(async () => {
      await call("POST", `/api/bindings/${path(vhost)}/e/${path(name)}/${kind}/${path(to)}`, {
        routing_key: key,
        arguments: {},
      });
      onDone();
    }, `Bound ${to} to ${name}`);
  return html`
    <${FormDialog} title=${`Bind to ${name}`} action="Bind" onSubmit=${submit} onClose=${onClose}>
      <${Field} label="Kind" as="select" value=${kind} onValue=${setKind}>
        <option value="q">queue</option>
        <option value="e">exchange</option>
        <//>
        <${Field} label="Name" required value=${to} onValue=${setTo} />
        <${Field} label="Routing key" value=${key} onValue=${setKey} />
        <//>
  `;
}

function DeclareExchange({ vhosts, onDone, onClose }) {
  const change = useChange();
  const [vhost, setVhost] = useState(vhosts[0] ?? "/");
  const [name, setName] = useState("");
  const [type, setType] = useState("topic");
  const [durable, setDurable] = useState(true);
  const submit = () =>
    change(async () => {
      await call("PUT", `/api/exchanges/${path(vhost, name)}`, {
        type,
        durable,
        auto_delete: false,
        internal: false,
        arguments: {},
      });
      onDone();
    }, `Declared the exchange ${name}`);
  return html`
    <${FormDialog} title="Declare an exchange" action="Declare" onSubmit=${submit} onClose=${onClose}>
      <${VhostField} vhosts=${vhosts} value=${vhost} onValue=${setVhost} />
      <${Field} label="Name" required value=${name} onValue=${setName} />
      <${Field} label="Type" as="select" value=${type} onValue=${setType}>
          ${["topic", "direct", "fanout", "headers"].map((one) =>
            html`<option key=${one} value=${one}>${one}</option>`
          )}<//>
        <${Field} label="Durable: it survives a restart" type="checkbox" checked=${durable} onValue=${setDurable} />
      <//>
  `;
}
