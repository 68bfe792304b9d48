/** The page: login, navigation, and the view of the address. */
import { html, render, useCallback, useEffect, useState } from "../vendor/preact.js";
import { call, Shared, useApi } from "./api.js";
import { ConnectionsView, ConsumersView } from "./connections.js";
import { ExchangesView, ExchangeView } from "./exchanges.js";
import { OverviewView } from "./overview.js";
import { QueuesView } from "./queues.js";
import { QueueView } from "./queue.js";
import { Field, Title } from "./ui.js";

const VIEWS = [
  { name: "overview", title: "Overview", list: OverviewView },
  { name: "queues", title: "Queues", list: QueuesView, one: QueueView },
  { name: "exchanges", title: "Exchanges", list: ExchangesView, one: ExchangeView },
  { name: "connections", title: "Connections", list: ConnectionsView },
  { name: "consumers", title: "Consumers", list: ConsumersView },
];

const INTERVALS = [[2000, "2 s"], [5000, "5 s"], [30_000, "30 s"], [0, "paused"]];

/** The address after `#`: the view, the names, and the parameters. */
function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...names] = path.split("/").map(decodeURIComponent);
  return { view: view || "overview", names, params: new URLSearchParams(query) };
}

function usePlace() {
  const [state, setState] = useState(place);
  useEffect(() => {
    const onChange = () => setState(place());
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  /** Changes parameters of the address; `undefined` removes one. */
  const set = (changes) => {
    const { view, names, params } = place();
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined || value === "") params.delete(name);
      else params.set(name, value);
    }
    const query = params.toString();
    history.replaceState(
      null,
      "",
      `#/${[view, ...names].map(encodeURIComponent).join("/")}${query && "?"}${query}`,
    );
    setState(place());
  };
  return [state, set];
}

function App() {
  const [user, setUser] = useState();
  const [notice, setNotice] = useState();
  const [interval, setInterval] = useState(5000);
  const notify = useCallback((text, isError = false) => setNotice({ text, isError }), []);
  const onEnded = useCallback(() => setUser(null), []);
  useEffect(() => {
    call("GET", "/page/session").then((found) => setUser(found ?? null), onEnded);
  }, []);
  const logOut = () => call("DELETE", "/page/session").finally(onEnded);
  if (user === undefined) return null;
  if (user === null) return html`<${Login} onUser=${setUser} />`;
  return html`
    <${Shared.Provider} value=${{ user, interval, notify, onEnded }}>
      <${Frame} user=${user} interval=${interval} setInterval=${setInterval} logOut=${logOut}
        notice=${notice}
        clear=${() => setNotice(undefined)} />
      <//>
  `;
}

function Login({ onUser }) {
  const [user, setName] = useState("");
  const [password, setPassword] = useState("");
  const [failure, setFailure] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    setFailure("");
    try {
      onUser(await call("POST", "/page/session", { user, password }));
    } catch (error) {
      setFailure(error.message);
    }
  };
  return html`
    <main class="login">
      <form onSubmit=${submit}>
        <${Title} text="Log in">mqcat<//>
          <${Field} label="User" name="user" autocomplete="username" required autocapitalize="none" value=${user} onValue=${setName} />
          <${Field} label="Password" name="password" type="password" autocomplete="current-password" required value=${password}
            onValue=${setPassword} />
          <div class="buttons"><button class="primary" type="submit">Log in</button></div>
          <p class="failure" role="alert">${failure}</p>
        </form>
      </main>
  `;
}

function Frame({ user, interval, setInterval, logOut, notice, clear }) {
  const [{ view, names, params }, set] = usePlace();
  const shown = VIEWS.find(({ name }) => name === view) ?? VIEWS[0];
  const { data: vhosts } = useApi("/api/vhosts?columns=name", true);
  const { data: overview } = useApi("/api/overview?columns=cluster_name,product_name,product_version", true);
  const View = names.length > 0 && shown.one ? shown.one : shown.list;
  useEffect(clear, [view, names.join("/")]);
  return html`
    <div class="frame">
      <a class="skip" href="#main" onClick=${focusMain}>Skip to the content</a>
      <header>
        <a class="brand" href="#/">mqcat</a>
        <span class="cluster" title=${overview &&
          `${overview.product_name} ${overview.product_version}`}>${overview?.cluster_name}</span>
        <nav aria-label="Views">${VIEWS.map(({ name, title }) =>
          html`<a key=${name} href=${`#/${name}`} aria-current=${
            name === shown.name ? "page" : undefined
          }>${title}</a>`
        )}</nav>
        <div class="controls">
            <label>Refresh <select value=${interval} onChange=${(event) =>
              setInterval(Number(event.target.value))}>
              ${INTERVALS.map(([value, label]) =>
                html`<option value=${value}>${label}</option>`
              )}</select></label>
            ${!user.write &&
              html`<span class="badge" title="The server was started without the right to change anything">read-only</span>`}
            <span class="user">${user.name}</span>
            <button type="button" onClick=${logOut}>Log out</button>
          </div>
      </header>
      <main id="main" tabindex="-1">
        <${Notice} notice=${notice} onClose=${clear} />
        <${View} key=${`${view}/${names.join("/")}`} names=${names} params=${params} set=${set}
          vhosts=${(vhosts ?? []).map(({ name }) => name)} />
      </main>
    </div>
  `;
}

/** The outcome of the last change. Both regions always exist, so that a screen reader reads their changes. */
function Notice({ notice, onClose }) {
  const text = (isError) => notice?.isError === isError ? notice.text : "";
  return html`<div class=${`notice ${notice === undefined ? "" : notice.isError ? "failed" : "done"}`}>
    <span role="status">${text(false)}</span><span role="alert">${text(true)}</span>
    ${
    notice !== undefined &&
    html`<button type="button" aria-label="Close the message" onClick=${onClose}>×</button>`
  }
  </div>`;
}

function focusMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

render(html`<${App} />`, document.getElementById("app"));
