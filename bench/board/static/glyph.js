"use strict";
/* Small drawings inside a table, as SVG text: an interval on a common axis, a cell with a dot for each seed. */

/* Pixels of a column with a common axis. */
const axisWidth = (wide = 232) => (matchMedia("(max-width: 640px)").matches ? 150 : matchMedia("(max-width: 1400px)").matches ? 180 : wide);

/* A scale from values to pixels, logarithmic if `log`. Values outside are drawn at its edge. */
function axis(lo, hi, width, log = false, pad = 8) {
  const g = log ? Math.log : (x) => x;
  const span = g(hi) - g(lo) || 1;
  const to = (x) => pad + Math.min(1, Math.max(0, (g(x) - g(lo)) / span)) * (width - 2 * pad);
  return { to: (x) => Math.round(10 * (log && x <= 0 ? pad : to(x))) / 10, lo, hi, width, log };
}

/* A scale that holds every finite one of the values. */
function axisOf(values, width, log = false) {
  const good = values.filter((x) => x !== null && Number.isFinite(x) && (!log || x > 0));
  if (!good.length) return axis(0, 1, width);
  let [lo, hi] = good.reduce(([a, b], x) => [Math.min(a, x), Math.max(b, x)], [Infinity, -Infinity]);
  if (lo === hi) { lo = log ? lo / 2 : lo - 0.5; hi = log ? hi * 2 : hi + 0.5; }
  return axis(lo, hi, width, log);
}

/* A scale for skills that shows floor and reference. It ends at -1: a single row far below the floor would squeeze all others. */
const skillAxis = (values, width) => axisOf([0, 1, ...values.map((x) => (x === null ? x : Math.max(x, -1)))], width);

const rule = (x, height, name) => `<line class="rule ${name}" x1="${x}" x2="${x}" y1="0" y2="${height}"/>`;
const cross = (x, y, r) => `M${x - r},${y - r}l${2 * r},${2 * r}M${x - r},${y + r}l${2 * r},${-2 * r}`;

/* The seeds one under another: a dot for each, a cross for a failed one, nothing for a missing or undefined one. */
function seedPaths(scale, values, states, height) {
  let dots = "", crosses = "";
  const n = Math.max(states.length, 1), step = (height - 8) / Math.max(n - 1, 1);
  for (let i = 0; i < n; i++) {
    const y = Math.round(10 * (n === 1 ? height / 2 : 4 + i * step)) / 10;
    const x = values[i] === null || values[i] === undefined ? scale.to(scale.lo) : scale.to(values[i]);
    if (states[i] === "x") crosses += cross(x, y, 2.2);
    else if (states[i] === "o" && values[i] !== null) dots += `M${x},${y}h0`;
  }
  return (dots && `<path class="dots" d="${dots}"/>`) + (crosses && `<path class="cross" d="${crosses}"/>`);
}

const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/* Dot and interval. mark: "lead", "ranked" or "open" (unranked, drawn hollow). seeds: values and states, or null. */
function interval(scale, x, lo, hi, mark, ruled, label, seeds = null, height = 26) {
  const y = height / 2;
  let out = ruled.map(([at, name]) => (at === null ? "" : rule(scale.to(at), height, name))).join("");
  if (seeds) out += seedPaths(scale, seeds[0], seeds[1], height);
  if (x !== null) {
    if (lo !== null && hi !== null) out += `<line class="bar" x1="${scale.to(lo)}" x2="${scale.to(hi)}" y1="${y}" y2="${y}"/>`;
    out += `<circle class="dot ${mark}" cx="${scale.to(x)}" cy="${y}" r="4.5"/>`;
  }
  return `<svg class="glyph" width="${scale.width}" height="${height}" viewBox="0 0 ${scale.width} ${height}" role="img" aria-label="${escaped(label)}">${out}</svg>`;
}

/* A small cell of one task: the seeds on the axis of skill. */
function seedCell(scale, cell, height = 26) {
  if (!cell) return '<span class="none" role="img" aria-label="not planned">·</span>';
  const [values, states] = cell;
  const failed = states.split("x").length - 1, missing = states.split("-").length - 1;
  const good = values.filter((value, i) => value !== null && states[i] === "o");
  const mean = good.length ? good.reduce((a, b) => a + b, 0) / good.length : null;
  const label = `mean ${number(mean)} of ${good.length} seeds` + (failed ? `, ${failed} failed` : "") + (missing ? `, ${missing} missing` : "");
  const rules = scale.log ? "" : rule(scale.to(0), height, "floor") + rule(scale.to(1), height, "reference");
  const gaps = missing === states.length ? `<text class="gap" x="${scale.width / 2}" y="${height / 2 + 4}" text-anchor="middle">missing</text>` : "";
  return `<svg class="glyph" width="${scale.width}" height="${height}" viewBox="0 0 ${scale.width} ${height}" role="img" aria-label="${escaped(label)}"><title>${escaped(label)}</title>${rules}${seedPaths(scale, values, states, height)}${gaps}</svg>`;
}

/* The head of a column with an axis: its title and the names of its ruled values. */
function axisHead(title, scale, ruled) {
  const node = s("svg", { width: scale.width, height: 15, viewBox: `0 0 ${scale.width} 15`, class: "glyph head", "aria-hidden": "true" });
  let last = -Infinity;
  for (const [at, name] of [...ruled].filter(([at]) => at !== null).sort((a, b) => scale.to(a[0]) - scale.to(b[0]))) {
    const x = scale.to(at), wide = name.length * 6.1;
    const left = Math.min(Math.max(x, wide / 2), scale.width - wide / 2);
    if (left - wide / 2 < last) continue;
    node.append(s("text", { x: left, y: 11, "text-anchor": "middle" }, name));
    last = left + wide / 2 + 4;
  }
  return h("span", { class: "axishead" }, h("span", {}, title), node);
}

const MARKS = { verified: "✓", disputed: "✗", claimed: "○", untuned: "~", "older code": "⟲" };
const EXPLAINED = {
  verified: "rerun on fresh seeds drawn after the entry was fixed; the claim stood",
  disputed: "rerun on fresh seeds, which are worse than the claim",
  claimed: "not rerun by others yet",
  untuned: "not tuned here at equal trials, hence unranked",
  "older code": "published before the last change of the code it used; task version and data are the same",
};
/* "verified (5)": five fresh seeds stood behind the verdict. */
const badge = (text) => {
  const [, word, seeds] = text.match(/^(.*?)(?: \((\d+)\))?$/);
  const title = `${EXPLAINED[word] || word}${seeds ? `; ${plural(Number(seeds), "fresh seed")}` : ""}`;
  return h("span", { class: `badge ${word.replace(" ", "-")}`, title }, h("span", { "aria-hidden": "true" }, `${MARKS[word] || ""} `), text);
};
