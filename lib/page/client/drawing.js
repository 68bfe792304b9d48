/** A drawing of bindings: exchanges at the left, what is bound to them at the right. */
import { html } from "../vendor/preact.js";
import { count } from "./format.js";

const WIDTH = 180;
const HEIGHT = 26;
const GAP_X = 150;
const GAP_Y = 12;
/** More would not be readable. */
const MAX_EDGES = 80;
/** Routing keys are written on the lines of fewer bindings than this. */
const LABELLED = 40;
const LETTERS = 24;

export function Drawing({ vhost, bindings, focus }) {
  if (bindings === undefined) return html`<p class="muted">Loading …</p>`;
  if (bindings.length === 0) return html`<p class="muted">There are no bindings to draw.</p>`;
  const { nodes, edges, width, height, left } = layOut(bindings);
  const hasKeys = edges.length <= LABELLED;
  return html`<div>
    <div class="scroll drawing" role="region" aria-label="Drawing of the bindings" tabindex="0">
      <svg width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="group"
        aria-label=${`${count(nodes.length)} exchanges and queues with ${count(edges.length)} bindings`}>
        ${edges.map((edge) => html`<${Edge} key=${edge.id} edge=${edge} hasKey=${hasKeys} />`)}
        ${
    nodes.map((node) =>
      html`<${Node} key=${node.id} node=${node} vhost=${vhost} isFocus=${
        node.name === focus && node.kind === "exchange"
      } />`
    )
  }
      </svg>
    </div>
    ${left > 0 && html`<p class="muted">${count(left)} more bindings are not drawn.</p>`}
  </div>`;
}

function Node({ node, vhost, isFocus }) {
  const { x, y, name, kind } = node;
  const href = `#/${kind === "queue" ? "queues" : "exchanges"}/${encodeURIComponent(vhost)}/${
    encodeURIComponent(name)
  }`;
  const short = name.length > LETTERS ? `${name.slice(0, LETTERS - 1)}…` : name;
  return html`<a href=${href} class=${`node ${kind} ${
    isFocus ? "focus" : ""
  }`} aria-label=${`${kind} ${name}`}>
    <title>${kind} ${name}</title>
    <rect x=${x} y=${y} width=${WIDTH} height=${HEIGHT} rx=${kind === "queue" ? 3 : HEIGHT / 2} />
    <text x=${x + 12} y=${y + HEIGHT / 2 + 4}>${short}</text></a>`;
}

function Edge({ edge: { from, to, keys }, hasKey }) {
  const [x1, y1] = [from.x + WIDTH, from.y + HEIGHT / 2];
  const [x2, y2] = [to.x, to.y + HEIGHT / 2];
  const middle = (x1 + x2) / 2;
  const named = keys.filter((key) => key !== "");
  const text = named.length > 2 ? `${named[0]} +${named.length - 1}` : named.join(", ");
  return html`<g class="edge">
    <title>${from.name} to ${to.name}${named.length > 0 ? `: ${named.join(", ")}` : ""}</title>
    <path d=${`M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`} />
    <path class="head" d=${`M${x2} ${y2}l-7 -4v8z`} />
    ${
    hasKey && text !== "" &&
    html`<text x=${x2 - 12} y=${y2 - 5} text-anchor="end">${
      text.length > 20 ? `${text.slice(0, 19)}…` : text
    }</text>`
  }
  </g>`;
}

/** Places the ends of the bindings in columns, so that most lines go to the right. */
function layOut(bindings) {
  const nodes = new Map();
  const edges = new Map();
  const node = (kind, name) => {
    const id = `${kind} ${name}`;
    if (!nodes.has(id)) nodes.set(id, { id, kind, name, column: 0 });
    return nodes.get(id);
  };
  let left = 0;
  for (const { source, destination, destination_type: kind, routing_key: key } of bindings) {
    const id = JSON.stringify([source, kind, destination]);
    if (!edges.has(id) && edges.size >= MAX_EDGES) {
      left++;
      continue;
    }
    if (!edges.has(id)) {
      edges.set(id, { id, from: node("exchange", source), to: node(kind, destination), keys: [] });
    }
    edges.get(id).keys.push(key);
  }
  // Exchanges may be bound in a circle: as many steps as there are exchanges are enough.
  const exchanges = [...nodes.values()].filter(({ kind }) => kind === "exchange").length;
  for (let step = 0; step < Math.min(exchanges, 4); step++) {
    for (const { from, to } of edges.values()) if (to.column <= from.column) to.column = from.column + 1;
  }
  const last = Math.max(...[...nodes.values()].map(({ column }) => column));
  for (const one of nodes.values()) if (one.kind === "queue") one.column = last;
  place([...nodes.values()], [...edges.values()], last);
  const height = Math.max(...[...nodes.values()].map(({ y }) => y)) + HEIGHT + 8;
  return {
    nodes: [...nodes.values()],
    edges: [...edges.values()],
    width: 16 + (last + 1) * (WIDTH + GAP_X) - GAP_X,
    height,
    left,
  };
}

/** Places the queues in one column, and each exchange about as high as what is bound to it. */
function place(nodes, edges, last) {
  const lowest = [];
  const put = (node, wanted) => {
    const top = lowest[node.column] ?? 8;
    node.x = 8 + node.column * (WIDTH + GAP_X);
    node.y = Math.max(top, wanted);
    lowest[node.column] = node.y + HEIGHT + GAP_Y;
  };
  for (const node of orderOf(nodes, edges)) if (node.column === last) put(node, 0);
  for (let column = last - 1; column >= 0; column--) {
    const placed = nodes.filter((node) => node.column === column).map((node) => {
      const targets = edges.filter(({ from, to }) => from === node && to.y !== undefined).map(({ to }) =>
        to.y
      );
      return [node, targets.length === 0 ? 0 : targets.reduce((sum, y) => sum + y, 0) / targets.length];
    });
    for (const [node, wanted] of placed.sort((a, b) => a[1] - b[1])) put(node, wanted);
  }
}

/** Orders the nodes of a column by the mean position of those that are bound to them, so that fewer lines cross. */
function orderOf(nodes, edges) {
  const position = new Map(nodes.map((node, at) => [node, at]));
  const mean = (node) => {
    const sources = edges.filter(({ to }) => to === node).map(({ from }) => position.get(from));
    return sources.length === 0
      ? position.get(node)
      : sources.reduce((sum, at) => sum + at, 0) / sources.length;
  };
  return nodes.map((node) => [node, mean(node)]).sort((a, b) => a[1] - b[1]).map(([node]) => node);
}
