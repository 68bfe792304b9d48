/** Parts that views are made of. */
import { html, useEffect, useRef, useState } from "../vendor/preact.js";

/** A heading that takes the focus when the view is new, so that a screen reader announces it. */
export function Title({ children, text }) {
  const heading = useRef();
  useEffect(() => {
    document.title = `${text} – mqcat`;
    heading.current.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [text]);
  return html`<h1 tabindex="-1" ref=${heading}>${children ?? text}</h1>`;
}

/**
 * A table that scrolls in itself.
 *
 * @param columns `{ key, title, sort, number, minor, cell(row) }`; `sort` is the column of the API to sort by
 * @param sort `{ by, reverse }`, with `onSort(by)`
 */
export function Table({ caption, columns, rows, sort, onSort, keyOf, empty }) {
  if (rows === undefined) return html`<p class="muted">Loading …</p>`;
  if (rows.length === 0) return html`<p class="muted">${empty ?? "There are none."}</p>`;
  const classOf = ({ number, minor }) => [number && "number", minor && "minor"].filter(Boolean).join(" ");
  return html`
    <div class="scroll" role="region" aria-label=${`Table: ${caption}`} tabindex="0">
      <table>
        <caption class="hidden">${caption}</caption>
        <thead>
          <tr>${columns.map((column) => {
            const isSorted = sort !== undefined && column.sort === sort.by;
            const order = isSorted ? sort.reverse ? "descending" : "ascending" : undefined;
            return html`<th key=${column.title} scope="col" class=${classOf(column)} aria-sort=${order}>
          ${
              column.sort === undefined || onSort === undefined
                ? column.title
                : html`<button type="button" class="sort" onClick=${() =>
                  onSort(column.sort)}>${column.title}<span
              class="arrow" aria-hidden="true">${
                  order === undefined ? "" : sort.reverse ? "▾" : "▴"
                }</span></button>`
            }
        </th>`;
          })}</tr>
        </thead>
        <tbody>${rows.map((row) =>
          html`<tr key=${keyOf(row)}>${
            columns.map((column, at) => {
              const value = column.cell(row);
              if (at === 0) return html`<th scope="row" class=${classOf(column)}>${value}</th>`;
              return html`<td class=${`${classOf(column)} ${
                /^0( B)?$/.test(value) ? "zero" : ""
              }`}>${value}</td>`;
            })
          }</tr>`
        )}</tbody>
      </table>
    </div>
  `;
}

/** Goes through the pages of a list of the API. */
export function Pager({ list, onPage }) {
  if (list === undefined || Array.isArray(list) || list.filtered_count === 0) return null;
  const { page, page_count: pages, filtered_count: found, total_count: total } = list;
  const entries = `${found === total ? total : `${found} of ${total}`} ${total === 1 ? "entry" : "entries"}`;
  if (pages <= 1) return html`<p class="pager">${entries}</p>`;
  return html`
    <nav class="pager" aria-label="Pages">
      <button type="button" disabled=${page <= 1} onClick=${() => onPage(page - 1)}>Previous</button>
      <span>Page ${page} of ${pages}, ${entries}</span>
      <button type="button" disabled=${page >= pages} onClick=${() => onPage(page + 1)}>Next</button>
    </nav>
  `;
}

let ids = 0;

/** An input with its label. Other properties are those of the input. */
export function Field({ label, hint, as = "input", children, onValue, ...rest }) {
  const [id] = useState(() => `field-${++ids}`);
  const given = { ...rest, id, "aria-describedby": hint === undefined ? undefined : `${id}-hint` };
  const onInput = (event) =>
    onValue?.(event.target.type === "checkbox" ? event.target.checked : event.target.value);
  const isCheck = rest.type === "checkbox";
  const input = html`<${as} ...${given} onInput=${onInput}>${children}<//>`;
  const name = html`<label for=${id}>${label}</label>`;
  return html`<div class=${isCheck ? "field check" : "field"}>
    ${isCheck ? [input, name] : [name, input]}
    ${hint !== undefined && html`<small id=${`${id}-hint`}>${hint}</small>`}
  </div>`;
}

/** A dialog over the page; Escape closes it. */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  const [id] = useState(() => `dialog-${++ids}`);
  return html`<dialog ref=${dialog} aria-labelledby=${id} onCancel=${onClose} onClose=${onClose}>
    <h2 id=${id}>${title}</h2>
    ${children}
  </dialog>`;
}

/** A form in a dialog. `onSubmit` returns whether it is done. */
export function FormDialog({ title, action, danger, onSubmit, onClose, children }) {
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const isDone = await onSubmit();
    setBusy(false);
    if (isDone) onClose();
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <form onSubmit=${submit}>
          ${children}
          <div class="buttons">
            <button type="submit" class=${danger ? "danger" : "primary"} disabled=${busy}>${busy
              ? "…"
              : action}</button>
            <button type="button" onClick=${onClose}>Cancel</button>
          </div>
        </form>
      <//>
  `;
}

/** A figure with its name; `sub` explains it. */
export function Tile({ name, value, sub }) {
  return html`
    <div class="tile">
      <dt>${name}</dt>
      <dd>${value}${sub !== undefined && html`<small>${sub}</small>`}</dd>
    </div>
  `;
}

/** Names and values. */
export function Facts({ facts }) {
  return html`<dl class="facts">${
    facts.filter(([, value]) => value !== undefined).map(([name, value]) =>
      html`
        <div key=${name}>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>
      `
    )
  }</dl>`;
}

export function Failure({ error }) {
  if (error === undefined) return null;
  return html`<p class="failure" role="alert">${error.message}</p>`;
}

/** Reads a field with a JSON object. @throws {Error} it is not one */
export function objectIn(text, what) {
  if (text.trim() === "") return {};
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${what}: ${error.message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${what}: expected {"name": value}`);
  }
  return value;
}
