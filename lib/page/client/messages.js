/** Browsing, publishing and moving messages. */
import { html, useEffect, useState } from "../vendor/preact.js";
import { call, path, query, useApi, useChange, useShared } from "./api.js";
import { bytes, count } from "./format.js";
import { Failure, Field, FormDialog, objectIn } from "./ui.js";

const PAGE = 20;
/** Longer bodies are cut, in bytes. */
const SHOWN = 20_000;

/** The first messages of a queue. */
export function Browse({ url, name }) {
  const { user } = useShared();
  const [offset, setOffset] = useState(0);
  const [messages, setMessages] = useState();
  const [error, setError] = useState();
  const [isAsked, setAsked] = useState(user.peek);
  const load = async (from) => {
    setError(undefined);
    const shared = { count: PAGE, encoding: "auto", truncate: SHOWN };
    try {
      const rows = user.peek
        ? await call("POST", `${url}/peek`, { ...shared, offset: from })
        : await call("POST", `${url}/get`, { ...shared, ackmode: "ack_requeue_true" });
      setMessages(rows);
      setOffset(from);
    } catch (failure) {
      setError(failure);
    }
  };
  useEffect(() => void (user.peek && load(0)), []);
  if (!isAsked) {
    return html`<section class="panel" aria-label="Browse messages">
      <p>This broker can only show messages by fetching them and putting them back. They are marked as redelivered, count as
        deliveries, and their order may change.</p>
      ${
      user.write
        ? html`
          <div
            class="buttons"><button type="button" onClick=${() => {
              setAsked(true);
              load(0);
            }}>Fetch the first ${PAGE} messages and put them back</button></div>
        `
        : html`<p class="muted">This page is read-only, so it does not do that.</p>`
    }
    </section>`;
  }
  return html`
    <section class="panel" aria-label=${`Messages of ${name}`}>
      <${Failure} error=${error} />
      <div class="pager" role="status">
          ${messages === undefined
            ? "Loading …"
            : messages.length === 0
            ? "There are no messages here."
            : html`<span>Messages ${offset + 1} to ${offset + messages.length}${
              user.peek ? ", the queue is unchanged" : ""
            }</span>`}
        </div>
      <ol class="messages" start=${offset + 1}>${(messages ?? []).map((message, at) =>
        html`<${Message} key=${offset + at} number=${offset + at + 1} message=${message} />`
      )}</ol>
      <div class="buttons">
          ${user.peek && html`
            <button type="button" disabled=${offset === 0} onClick=${() =>
              load(Math.max(0, offset - PAGE))}>Previous</button>
            <button type="button" disabled=${(messages?.length ?? 0) < PAGE} onClick=${() =>
              load(offset + PAGE)}>Next</button>
          `}
          <button type="button" onClick=${() => load(offset)}>Refresh</button>
        </div>
    </section>
  `;
}

function Message({ number, message }) {
  const { exchange, routing_key: key, payload_bytes: size, redelivered, properties } = message;
  const shown = textOf(message);
  const { headers, ...others } = properties;
  return html`
    <li>
      <details open=${number === 1}>
        <summary><span class="number">${number}</span> <span class="name">${exchange === ""
          ? "default exchange"
          : exchange}</span> → <code>${key}</code>
          <span class="muted">${bytes(size)}${redelivered ? ", redelivered" : ""}</span></summary>
        <dl class="facts">${Object.entries({ ...others, ...headers }).map(([name, value]) =>
          html`
            <div key=${name}>
              <dt>${name}</dt>
              <dd>${typeof value === "object" ? JSON.stringify(value) : String(value)}</dd>
            </div>
          `
        )}</dl>
        <pre tabindex="0" aria-label=${`Body of message ${number}`}>${shown}</pre>
        ${size > SHOWN && html`<p class="muted">The first ${bytes(SHOWN)} of ${bytes(size)}</p>`}
      </details>
    </li>
  `;
}

/** The body as text: JSON is indented, and bytes are shown as base64. */
function textOf({ payload, payload_encoding: encoding }) {
  if (encoding === "base64") return `base64: ${payload}`;
  try {
    const value = JSON.parse(payload);
    if (typeof value === "object") return JSON.stringify(value, undefined, 2);
  } catch {
    // It is not JSON.
  }
  return payload;
}

/** Publishes one message to an exchange. */
export function Publish({ vhost, exchange, routingKey = "", onDone, onClose }) {
  const change = useChange();
  const [key, setKey] = useState(routingKey);
  const [body, setBody] = useState("");
  const [type, setType] = useState("");
  const [headers, setHeaders] = useState("");
  const [persistent, setPersistent] = useState(true);
  const submit = () =>
    change(async () => {
      const properties = {
        delivery_mode: persistent ? 2 : 1,
        ...(type === "" ? {} : { content_type: type }),
        ...(headers.trim() === "" ? {} : { headers: objectIn(headers, "Headers") }),
      };
      const message = { routing_key: key, payload: body, payload_encoding: "string", properties };
      const { routed } = await call("POST", `/api/exchanges/${path(vhost, exchange)}/publish`, message);
      if (!routed) {
        throw new Error("No queue is bound to this exchange with this key: the message was dropped");
      }
      onDone?.();
    }, "Published a message");
  return html`<${FormDialog} title=${`Publish to ${
    exchange === "" ? routingKey : exchange
  }`} action="Publish" onSubmit=${submit} onClose=${onClose}>
    ${exchange !== "" && html`<${Field} label="Routing key" value=${key} onValue=${setKey} />`}
    <${Field} label="Body" as="textarea" rows="6" spellcheck=${false} value=${body} onValue=${setBody} />
    <${Field} label="Content type" placeholder="application/json" value=${type} onValue=${setType} />
    <${Field} label="Headers" as="textarea" rows="2" spellcheck=${false} placeholder='{"id": 1}' hint="A JSON object; it may be empty."
      value=${headers} onValue=${setHeaders} />
    <${Field} label="Persistent: it survives a restart" type="checkbox" checked=${persistent} onValue=${setPersistent} />
  <//>`;
}

/** Moves messages to another queue of the virtual host. */
export function Move({ url, vhost, name, onDone, onClose }) {
  const change = useChange();
  const [to, setTo] = useState("");
  const [most, setMost] = useState("");
  const { data } = useApi(
    query(`/api/queues/${path(vhost)}`, { page: 1, page_size: 20, name: to, columns: "name" }),
    true,
  );
  const names = (data?.items ?? []).map(({ name }) => name).filter((other) => other !== name);
  const submit = () =>
    change(async () => {
      const body = { destination: to, ...(most === "" ? {} : { count: Number(most) }) };
      const { moved } = await call("POST", `${url}/move`, body);
      onDone();
      return moved;
    }, (moved) => `Moved ${count(moved)} ${moved === 1 ? "message" : "messages"} to ${to}`);
  return html`
    <${FormDialog} title=${`Move messages of ${name}`} action="Move" onSubmit=${submit} onClose=${onClose}>
      <${Field} label="To the queue" required list="move-queues" autocomplete="off" value=${to}
        onValue=${setTo} />
      <datalist id="move-queues">${names.map((other) =>
        html`<option key=${other} value=${other} />`
      )}</datalist>
      <${Field} label="Number of messages" type="number" min="1" placeholder="all that are ready"
        value=${most} onValue=${setMost} />
      <//>
  `;
}
