"use strict";
/* The table of all pages: Tabulator with unranked rows kept below the ranked ones, a filter, and movement by keys. */

Board.current = null; // the table whose rows the keys move through

/* A sorter that keeps unranked rows below the ranked ones and absent values last, in both directions. */
const sorter = (value) => (a, b, rowA, rowB, column, direction) => {
  const x = rowA.getData(), y = rowB.getData(), sign = direction === "asc" ? 1 : -1;
  if (!x.rank !== !y.rank) return (x.rank ? -1 : 1) * sign;
  const p = value(x), q = value(y);
  const absent = (v) => v === null || v === undefined || Number.isNaN(v);
  if (absent(p) || absent(q)) return absent(p) && absent(q) ? 0 : (absent(p) ? 1 : -1) * sign;
  return typeof p === "string" ? p.localeCompare(q) : p - q;
};

/* columns: {title, width, value(row) to sort by, cell(row) -> node or string of a glyph, grow, left, tip}. */
const STANDINGS = { ranked: (row) => row.rank, leaders: (row) => row.rank && row.rank[0] === 1, unranked: (row) => !row.rank };

/* The width in pixels of a column with these texts. */
const fit = (texts, least, most = 340) => Math.min(most, Math.max(least, ...texts.map((text) => 24 + 8.1 * text.length)));

function ranked(rows, columns, open, label, choices = STANDINGS) {
  const box = h("div", { class: "board" });
  const count = h("span", { class: "quiet", "aria-live": "polite" });
  const search = h("input", { type: "search", class: "filter", placeholder: "filter: name, badge, remark   ( / )", "aria-label": `filter ${label}` });
  const only = h("select", { "aria-label": "which rows" }, ["all rows", ...Object.keys(choices)].map((word) => h("option", {}, word)));
  const holder = h("div", { class: "tableholder" }, h("div", { class: "filters" }, search, only, count), box);
  const few = rows.length <= 40;
  const narrow = matchMedia("(max-width: 640px)").matches;
  const kept = columns.filter((column) => !narrow || !column.wide).map((column) => ({ ...column, width: (narrow && column.narrow) || column.width }));
  const left = kept.map((column, i) => kept.slice(0, i).reduce((sum, one) => sum + one.width, 0)); // the leftmost place of each column, in pixels
  const table = new Tabulator(box, {
    data: rows,
    index: "entry",
    height: few ? false : "72vh",
    renderVertical: few ? "basic" : "virtual",
    renderVerticalBuffer: few ? undefined : 180, // pixels beyond the visible part, few since each row holds many drawings
    rowHeight: 36,
    layout: narrow ? "fitData" : "fitColumns",
    headerSortClickElement: "header",
    columnDefaults: { resizable: false, vertAlign: "middle" },
    columns: kept.map((column, place) => ({
      title: column.title,
      field: `c${place}`,
      width: column.grow && !narrow ? undefined : column.width,
      minWidth: column.width,
      widthGrow: column.grow || 0,
      frozen: Boolean(column.frozen),
      hozAlign: column.left ? "left" : column.middle ? "center" : "right",
      headerHozAlign: column.left ? "left" : column.middle ? "center" : "right",
      headerTooltip: column.tip || false,
      cssClass: column.css || "",
      sorter: sorter(column.value),
      headerSortStartingDir: column.down ? "desc" : "asc",
      titleFormatter: column.head ? () => column.head : () => h("span", { class: "title" }, column.title),
      formatter: (cell) => {
        if (left[place] < innerWidth || !Board.queue) return column.cell(cell.getData());
        Board.later(() => { const made = column.cell(cell.getData()), node = cell.getElement(); if (made instanceof Node) node.replaceChildren(made); else node.innerHTML = made; });
        return ""; // a cell beyond the right edge is filled later
      },
    })),
    rowFormatter: (row) => {
      const data = row.getData(), node = row.getElement();
      node.classList.toggle("leader", Boolean(data.rank && data.rank[0] === 1));
      node.classList.toggle("unranked", !data.rank);
      node.classList.toggle("anchor", Boolean(data.anchor));
    },
  });
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const holds = choices[only.value] || (() => true);
    table.setFilter((row) => Boolean(holds(row)) && words.every((word) => row.text.includes(word)));
  };
  search.addEventListener("input", apply);
  only.addEventListener("change", apply);
  table.on("dataFiltered", (filters, left) => { count.textContent = left.length === rows.length ? plural(rows.length, "row") : `${left.length} of ${plural(rows.length, "row")}`; });
  table.on("rowClick", (event, row) => { if (!event.target.closest("a, button")) open(row.getData()); });
  const built = new Promise((done) => table.on("tableBuilt", done));
  built.then(() => { count.textContent = plural(rows.length, "row"); holder.dataset.ready = "yes"; });
  const state = { table, search, open, built, at: -1 };
  box.addEventListener("focusin", () => { Board.current = state; });
  if (!Board.current) Board.current = state;
  Board.tables.push(state);
  return holder;
}
Board.tables = [];

/* Move the cursor by `step` rows in the current table. */
Board.move = (step) => {
  const state = Board.current;
  if (!state) return;
  const rows = state.table.getRows("active");
  if (!rows.length) return;
  document.querySelectorAll(".tabulator-row.cursor").forEach((node) => node.classList.remove("cursor"));
  state.at = Math.min(rows.length - 1, Math.max(0, state.at + step));
  const row = rows[state.at];
  row.getElement().classList.add("cursor");
  state.table.scrollToRow(row, "nearest", false).catch(() => {});
  row.getElement().scrollIntoView({ block: "nearest" });
};
Board.enter = () => {
  const state = Board.current;
  const row = state && state.at >= 0 && state.table.getRows("active")[state.at];
  if (row) state.open(row.getData());
};

/* Columns that several pages share. */
const shared = {
  rank: { title: "rank", width: 66, narrow: 54, left: true, frozen: true, value: (r) => (r.rank ? r.rank[0] + r.rank[1] / 1e4 : null), cell: (r) => ranks(r.rank, r.provisional), tip: "the range of ranks that paired tests leave open" },
  entry: { title: "entry", width: 176, narrow: 136, grow: 2, left: true, frozen: true, css: "name", tip: "open a row for its configuration, tuning and records", value: (r) => r.entry, cell: (r) => h("span", { class: "entry", title: r.entry }, link(r.entry, "entry", r.entry), r.anchor ? h("span", { class: "anchorword" }, r.anchor) : null) },
  badges: { title: "standing", width: 206, left: true, wide: true, value: (r) => r.badges.join(), cell: (r) => h("span", { class: "badges" }, r.badges.map(badge)), tip: "verified or disputed on fresh seeds (how many), or only claimed; then what the row lacks" },
  ok: { title: "ok", width: 66, narrow: 56, value: (r) => r.ok / Math.max(1, r.seeds), cell: (r) => `${r.ok}/${r.seeds}`, css: "num", tip: "cells that ended well, of those planned" },
  cpu: { title: "CPU s", width: 76, narrow: 66, value: (r) => r.cpu, cell: (r) => number(r.cpu), css: "num", tip: "CPU seconds in the entry’s set-up, training and prediction, a seed" },
  trials: { title: "trials", width: 64, wide: true, value: (r) => (Array.isArray(r.trials) ? r.trials[0] : r.trials), cell: (r) => trialsText(r), css: "num", tip: "tuning trials made here; declared by the authors" },
  remark: { title: "remark", width: 150, grow: 1, left: true, wide: true, tip: "why a row is unranked, and what failed", value: (r) => r.reason || "", cell: (r) => h("span", { class: "remark", title: r.remark || r.reason || null }, r.remark || r.reason || "") },
};
function trialsText(r) {
  const here = r.trials === null ? "—" : Array.isArray(r.trials) ? (r.trials.length > 1 ? `${r.trials[0]}–${r.trials.at(-1)}` : `${r.trials[0]}`) : String(r.trials);
  return r.declared === null || r.declared === undefined ? here : `here ${here} / declared ${r.declared}`;
}
const trialsColumn = (rows) => ({ ...shared.trials, width: rows.some((row) => row.declared !== null) ? 164 : 64 });
const entryColumn = (rows) => ({ ...shared.entry, width: Math.max(176, ...rows.map((row) => Math.min(280, 28 + 8.8 * row.entry.length + (row.anchor ? 66 : 0)))), narrow: fit(rows.map((row) => row.entry), 90, 162) });
const badgesColumn = (rows) => ({ ...shared.badges, width: rows.some((row) => row.badges.length > 1) ? 214 : 118 });
