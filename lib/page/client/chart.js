/** Lines over time. */
import { html, useEffect, useMemo, useRef } from "../vendor/preact.js";
import { clock } from "./format.js";

const HEIGHT = 150;

/** Colours follow the theme, so they are read from the style sheet. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The samples of a counter: their times in seconds, oldest first, and their values or rates. */
export function samplesOf(details, asRate) {
  const samples = [...details?.samples ?? []].reverse();
  const times = samples.map(({ timestamp }) => timestamp / 1000);
  const values = samples.map(({ sample }) => sample);
  if (!asRate) return { times, values };
  const rates = values.map((value, at) =>
    at === 0 ? null : Math.max(0, (value - values[at - 1]) / (times[at] - times[at - 1]))
  );
  return { times: times.slice(1), values: rates.slice(1) };
}

/**
 * A chart with a legend that shows the values under the pointer, else the last ones.
 *
 * @param series `{ label, colour, times, values }`; all have the same times
 */
export function Chart({ title, series, format }) {
  const place = useRef();
  const legend = useRef();
  const plot = useRef();
  const times = series[0].times;
  const data = useMemo(() => [times, ...series.map(({ values }) => values)], [series]);
  const latest = useRef();
  latest.current = { series, format };
  const write = (at) => {
    const shown = latest.current;
    shown.series.forEach(({ values }, line) => {
      const cell = legend.current?.children[line]?.querySelector("b");
      if (cell) cell.textContent = shown.format(values.at(at ?? -1));
    });
  };
  useEffect(() => {
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        optionsOf(series, place.current.clientWidth, format, write),
        data,
        place.current,
      );
    };
    make();
    const observer = new ResizeObserver(() =>
      plot.current.setSize({ width: place.current.clientWidth, height: HEIGHT })
    );
    observer.observe(place.current);
    const theme = matchMedia("(prefers-color-scheme: dark)");
    theme.addEventListener("change", make);
    return () => {
      observer.disconnect();
      theme.removeEventListener("change", make);
      plot.current.destroy();
      plot.current = undefined;
    };
  }, []);
  useEffect(() => {
    plot.current.setData(data);
    write();
  }, [data]);
  const now = series.map(({ label, values }) => `${label} ${format(values.at(-1))}`).join(", ");
  return html`
    <figure class="chart">
      <figcaption>${title}</figcaption>
      <ul class="legend" ref=${legend}>${series.map(({ label, colour }) =>
        html`<li key=${label}><i class=${colour}></i>${label} <b></b></li>`
      )}</ul>
      <div ref=${place} role="img" aria-label=${`${title}. Now: ${now}`}></div>
    </figure>
  `;
}

function optionsOf(series, width, format, onPointer) {
  const axis = {
    stroke: colour("muted"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    padding: [8, 26, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{
      ...axis,
      size: 24,
      space: 80,
      values: (_plot, times) => times.map((time) => clock(1000 * time)),
    }, {
      ...axis,
      size: 48,
      space: 28,
      values: (_plot, values) => values.map((value) => format(value)),
    }],
    series: [
      {},
      ...series.map((one, at) => ({
        label: one.label,
        stroke: colour(one.colour),
        width: 1.5,
        points: { show: false },
        // Lines with the same values must all be visible.
        dash: at === 0 ? undefined : [4 + 4 * at, 4],
      })),
    ],
    hooks: { setCursor: [(plot) => onPointer(plot.cursor.idx ?? undefined)] },
  };
}
