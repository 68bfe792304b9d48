/** The list of queues. */
import { html, useState } from "../vendor/preact.js";
import { call, path, query, useApi, useChange, useShared } from "./api.js";
import { bytes, count, rate, rateOf } from "./format.js";
import { Failure, Field, FormDialog, objectIn, Pager, Table, Title } from "./ui.js";

const PAGE_SIZE = 50;
/** The rows of a list without pages that are shown. */
const MAX_ROWS = 500;

/** The parameters of a list in the address, and the path that they ask for. */
export function useList(base, params, set, first) {
  const sort = {
    by: params.get("sort") ?? first.by,
    reverse: (params.get("reverse") ?? String(first.reverse)) === "true",
  };
  const vhost = params.get("vhost") ?? "";
  const list = useApi(query(vhost === "" ? base : `${base}/${path(vhost)}`, {
    page: params.get("page") ?? 1,
    page_size: PAGE_SIZE,
    name: params.get("name") ?? "",
    sort: sort.by,
    sort_reverse: sort.reverse,
    pagination: true,
    ...first.more,
  }));
  // The page may not exist any more.
  if (list.error?.status === 400 && params.has("page")) set({ page: undefined });
  const { data } = list;
  return {
    ...list,
    // RabbitMQ has no pages of consumers, and does not sort them.
    rows: Array.isArray(data) ? sorted(data, sort).slice(0, MAX_ROWS) : data?.items,
    sort,
    onSort: (by) =>
      set({ sort: by, reverse: by === sort.by ? String(!sort.reverse) : "true", page: undefined }),
    onPage: (page) => set({ page: page === 1 ? undefined : String(page) }),
  };
}

function sorted(rows, { by, reverse }) {
  const value = (row) => by.split(".").reduce((at, name) => at?.[name], row) ?? "";
  const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;
  return rows.toSorted((a, b) => compare(value(a), value(b)) * (reverse ? -1 : 1));
}

/** The inputs above a list: a part of the name, and the virtual host. */
export function ListFilter({ what, params, set, vhosts, children }) {
  return html`<form class="filter" role="search" onSubmit=${(event) => event.preventDefault()}>
    <${Field} label=${`${what} with the name`} type="search" placeholder="any" value=${
    params.get("name") ?? ""
  }
      onValue=${(name) => set({ name, page: undefined })} />
    ${
    vhosts.length > 1 && html`
      <${Field} label="Virtual host" as="select" value=${params.get("vhost") ?? ""}
        onValue=${(vhost) => set({ vhost, page: undefined })}>
            <option value="">all</option>${vhosts.map((name) =>
              html`<option key=${name} value=${name}>${name}</option>`
            )}<//>
    `
  }
    <div class="buttons">${children}</div>
  </form>`;
}

export const queueLink = (vhost, name) => `#/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`;

const perSecond = (title, name, minor) => ({
  title,
  sort: `message_stats.${name}_details.rate`,
  number: true,
  minor,
  cell: ({ message_stats: stats }) => rate(rateOf(stats, name) ?? 0),
});

export function QueuesView({ params, set, vhosts }) {
  const { user } = useShared();
  const [isDeclaring, setDeclaring] = useState(false);
  const list = useList("/api/queues", params, set, { by: "messages", reverse: true });
  const columns = [
    {
      title: "Name",
      sort: "name",
      cell: ({ vhost, name }) => html`<a class="name" href=${queueLink(vhost, name)}>${name}</a>`,
    },
    ...(vhosts.length > 1
      ? [{ title: "Virtual host", sort: "vhost", minor: true, cell: ({ vhost }) => vhost }]
      : []),
    {
      title: "Type",
      sort: "type",
      minor: true,
      cell: ({ type, durable }) =>
        html`${type}${
          !durable && html`
            <span class="muted">transient</span>
          `
        }`,
    },
    { title: "Ready", sort: "messages_ready", number: true, cell: (queue) => count(queue.messages_ready) },
    {
      title: "Unacked",
      sort: "messages_unacknowledged",
      number: true,
      minor: true,
      cell: (queue) => count(queue.messages_unacknowledged),
    },
    { title: "Total", sort: "messages", number: true, minor: true, cell: (queue) => count(queue.messages) },
    perSecond("In /s", "publish"),
    perSecond("Out /s", "deliver_get"),
    perSecond("Ack /s", "ack", true),
    { title: "Consumers", sort: "consumers", number: true, cell: ({ consumers }) => count(consumers) },
    { title: "Memory", sort: "memory", number: true, minor: true, cell: ({ memory }) => bytes(memory) },
  ];
  return html`
    <div class="view">
      <${Title} text="Queues" />
      <${ListFilter} what="Queues" params=${params} set=${set} vhosts=${vhosts}>
          ${user.write &&
            html`<button type="button" onClick=${() => setDeclaring(true)}>Declare a queue</button>`}
        <//>
        <${Failure} error=${list.error} />
        <${Table} caption="Queues" columns=${columns} rows=${list.rows} sort=${list.sort} onSort=${list
          .onSort}
          keyOf=${({ vhost, name }) => `${vhost} ${name}`} empty="No queue has such a name." />
        <${Pager} list=${list.data} onPage=${list.onPage} />
        ${isDeclaring &&
          html`<${DeclareQueue} vhosts=${vhosts} onDone=${list.reload} onClose=${() =>
            setDeclaring(false)} />`}
      </div>
  `;
}

/** A choice of the virtual host, if there are several. */
export function VhostField({ vhosts, value, onValue }) {
  if (vhosts.length < 2) return null;
  return html`<${Field} label="Virtual host" as="select" value=${value} onValue=${onValue}>
    ${vhosts.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}<//>`;
}

function DeclareQueue({ vhosts, onDone, onClose }) {
  const change = useChange();
  const [vhost, setVhost] = useState(vhosts[0] ?? "/");
  const [name, setName] = useState("");
  const [type, setType] = useState("classic");
  const [durable, setDurable] = useState(true);
  const [args, setArgs] = useState("");
  const submit = () =>
    change(async () => {
      const given = objectIn(args, "Arguments");
      const body = {
        durable,
        auto_delete: false,
        arguments: { ...given, ...(type === "classic" ? {} : { "x-queue-type": type }) },
      };
      await call("PUT", `/api/queues/${path(vhost, name)}`, body);
      onDone();
    }, `Declared the queue ${name}`);
  return html`
    <${FormDialog} title="Declare a queue" action="Declare" onSubmit=${submit} onClose=${onClose}>
      <${VhostField} vhosts=${vhosts} value=${vhost} onValue=${setVhost} />
      <${Field} label="Name" required value=${name} onValue=${setName} />
      <${Field} label="Type" as="select" value=${type} onValue=${setType}>
        <option value="classic">classic</option>
        <option value="quorum">quorum</option>
        <//>
        <${Field} label="Durable: it survives a restart" type="checkbox" checked=${durable}
          onValue=${setDurable} />
        <${Field} label="Arguments" as="textarea" rows="3" spellcheck=${false}
          placeholder='{"x-message-ttl": 60000}'
          hint="A JSON object; it may be empty." value=${args} onValue=${setArgs} />
        <//>
  `;
}
