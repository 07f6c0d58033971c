"use strict";
/* A task's page: its tables, curves, cost against quality, duels, figures and datasheet. */

/* A chunk's rows, which are lists, as objects. */
Board.rowsOf = (table) => table.rows.map((list, place) => {
  const named = (names, values) => Object.fromEntries(names.map((name, i) => [name, values[i]]));
  const row = named(Board.index.columns, list);
  const keys = Array.from({ length: row.keys.length / table.shown }, (_, i) => row.keys.slice(i * table.shown, (i + 1) * table.shown));
  const [best, near] = (table.tuned && table.tuned[2][place]) || [null, null];
  return { ...row, ...named(Board.index.alike, table.alike[row.alike]), keys, best, near };
});
Board.placeOf = (id) => Board.index.tables.findIndex((one) => one[0] === id);

/* The centre of the ranking metric: its mean, or its median where seeds failed. */
const centre = (row) => (row.value === null ? row.median : row.value);
const fails = (row) => Object.entries(row.failures).map(([word, n]) => `${n} ${word}`);
const remarkOf = (row) => [row.reason, fails(row).length ? `${fails(row).join(", ")} of ${plural(row.keys.length, "cell")}` : ""].filter(Boolean).join(", ");

/* The ranking metric of a row as text, and the explanation of its column. */
const valueText = (row) => (row.value === null && row.median !== null ? `median ${number(row.median)}` : number(row.value)) + (row.reached !== null && row.reached < row.seeds ? ` · ${row.reached}/${row.seeds} reached` : "");
const VALUE = "mean over seeds with its 95 % interval; the median of those that ended well where one failed; a seed that missed its target counts as the budget";
const equal = (row) => row.value !== null && row.lo === null && row.hi === null && row.values.length > 2 && new Set(row.values).size === 1 && row.ok === row.values.length && (row.reached === null || row.reached === row.seeds);
const rangeText = (row) => (equal(row) ? "(all equal)" : range(row.lo, row.hi));
const valueCell = (row, name = "") => h("span", {}, name, valueText(row), h("span", { class: "quiet" }, ` ${rangeText(row)}`));
const valueWidth = (rows, name = "") => fit(rows.map((row) => `${name}${valueText(row)} ${rangeText(row)}`), 110);
const share = (x) => (x === null ? "—" : `${Math.round(100 * x)} %`);
const tunedColumns = (tuned) => (tuned ? [
  { title: `best of ${tuned[0]}`, width: 86, css: "num", wide: true, value: (r) => r.best, cell: (r) => number(r.best), tip: `the score at equal budget: ${tuned[1]} on validation, expected of the best of ${tuned[0]} tuning trials` },
  { title: "within 5 %", width: 84, css: "num", wide: true, down: true, value: (r) => r.near, cell: (r) => share(r.near), tip: "sensitivity: the share of the tried space within 5 % of the best" },
] : []);

Board.pages.task = async (...parts) => {
  const id = parts.join("/"), place = Board.placeOf(id);
  if (place < 0) throw new Error(`no table of a task ${id} on this board`);
  const table = await Board.load(`table-${place}`);
  const rows = Board.rowsOf(table), metric = table.metrics.find((one) => one.name === table.metric);
  const log = metric.scale === "log", family = table.task.split("/")[0];
  const groups = ["closed", "solver", "procedure"].filter((group) => rows.some((row) => row.group === group));
  const others = Board.index.tables.filter((one) => one[0] !== id && one[0].split("~")[0] === table.task);
  const curves = h("div", { class: "wide" }), family_figures = h("div", { class: "figures" });
  if (Board.index.tables[place][2]) Board.later(() => Board.load(`curves-${place}`).then((data) => curves.append(...curveFigure(data, rows))));
  if (Board.index.figures.includes(family)) Board.later(() => Board.load(`figures-${family}`).then((drawings) => family_figures.append(...drawings.map(drawing))));
  return [
    h("h1", {}, table.task, h("span", { class: "sub" }, prose(metric.doc))),
    factLine([...table.suites.map((suite) => h("span", {}, "suite ", link(suite, "suite", suite))), `preset ${table.preset}`, `version ${table.version}`, `budget ${count(table.budget[1])} ${table.budget[0]}`, `last published ${day(table.ended)}`, spent(table)]),
    others.length ? h("p", { class: "quiet" }, "With other parameters or entries: ", others.map((one) => [link(one[0], "task", one[0]), " "])) : null,
    groups.map((group) => [groups.length > 1 ? h("h2", {}, GROUPS[group]) : null, taskTable(table, rows.filter((row) => row.group === group), rows, metric)]),
    footnotes(table.method, table.notes[0], { axis: rows.some((row) => row.skill !== null) ? null : [metric.name] }),
    table.notes.length > 1 ? h("div", { class: "notes" }, table.notes.slice(1).map((note) => h("p", {}, `${upper(note)}.`))) : null,
    h("p", { class: "quiet" }, "The same in a terminal:"), command(table.command),
    curves,
    deferred(h("div", { class: "figures" }), () => [
      figure(`Cost against quality. Filled: no other entry is both cheaper and better (the step is this front). ${Board.index.cpu}.`,
        scatter(rows.map((row) => ({ entry: row.entry, x: row.costs[Board.index.costs.indexOf("cpu_entry")], y: centre(row), lo: row.lo, hi: row.hi, group: row.group })), { yLabel: `${metric.name}${log ? " (log)" : ""}`, logY: log, better: metric.better })),
      duelFigures(table.duels, "seeds", "seed", metric, rows)]),
    sheet(table),
    Board.index.figures.includes(family) ? h("section", {}, h("h2", {}, `Figures of ${family}`), family_figures) : null,
  ];
};

const GROUPS = { closed: "Closed division", solver: "Solvers", procedure: "Open division: procedures" };

function drawing(one) {
  if (!one.svg) return h("p", { class: "quiet" }, `Not drawn: ${one.id}: ${one.reason}. `, one.command ? h("code", {}, one.command) : null);
  return h("figure", {}, Board.own("div", { class: "svg" }, one.svg), h("figcaption", {}, h("b", {}, `${upper(one.title)}.`), ` ${one.caption || ""} `, one.notes ? h("span", {}, `${upper(one.notes)}. `) : null, one.command ? h("code", {}, one.command) : null));
}

function taskTable(table, rows, all, metric) {
  const log = metric.scale === "log" && all.some((row) => centre(row) > 0);
  const unit = metric.unit && metric.unit !== "1" ? ` (${metric.unit})` : "", arrow = metric.better === "min" ? "↓" : "↑";
  const floor = all.find((row) => row.entry === table.floors[0]), reference = all.find((row) => row.entry === table.reference);
  const anchors = [[floor ? centre(floor) : null, "floor"], [reference ? centre(reference) : null, "reference"]];
  const scale = axisOf([...rows.flatMap((row) => [centre(row), row.lo, row.hi, ...row.values]), anchors[0][0], anchors[1][0]], axisWidth(250), log);
  const cost = Object.fromEntries(Board.index.costs.map((name, i) => [name, (r) => r.costs[i]]));
  const numeric = (title, read, tip) => ({ title, width: 96, css: "num", wide: true, tip, value: read, cell: (r) => count(read(r), 3) });
  const columns = [
    shared.rank, entryColumn(rows), badgesColumn(rows),
    { title: metric.name, width: axisWidth(250) + 12, left: true, css: "axis", down: metric.better === "max", tip: `${metric.doc}; ${metric.better === "min" ? "less" : "more"} is better`, head: axisHead(`${metric.name} ${arrow}${unit}`, scale, anchors), value: centre,
      cell: (r) => interval(scale, centre(r), r.lo, r.hi, r.rank ? (r.rank[0] === 1 ? "lead" : "ranked") : "open", anchors, `${metric.name} ${valueText(r)} ${rangeText(r)}`, [r.values, r.states]) },
    { title: "value [95 %]", width: valueWidth(rows), left: true, css: "num", down: metric.better === "max", tip: VALUE, value: centre, cell: (r) => valueCell(r) },
    { title: "skill", width: 62, narrow: 56, css: "num", down: true, value: (r) => r.skill, cell: (r) => fixed(r.skill), tip: "0 at the floor, less below it, 1 at the reference" },
    { ...shared.ok, tip: "seeds that ended well, of those with a record", cell: (r) => h("span", { title: `95 % interval of the share: ${number(r.ok_lo, 2)} to ${number(r.ok_hi, 2)}` }, `${r.ok}/${r.seeds}`) },
    shared.cpu, trialsColumn(all), ...tunedColumns(rows.some((row) => row.best !== null) ? table.tuned : null),
    all.some((row) => remarkOf(row)) ? shared.remark : null,
    { title: "records", width: 92, left: true, wide: true, tip: "each with its configuration, environment, log and exact command", value: (r) => r.keys.length, cell: (r) => (r.keys.length ? h("span", {}, link(plural(r.keys.length, "record"), "record", r.keys[0])) : "—") },
    numeric("wall s", cost.wall, "seconds on the clock, a seed"), numeric("MB", cost.rss_mb, "peak resident memory"), numeric(table.budget[0], cost[table.budget[0]] || (() => null), `${table.budget[0]} used, a seed`), numeric("parameters", cost.parameters, "trainable numbers"),
    ...table.others.map((name, i) => numeric(name, (r) => r.others[i], (table.metrics.find((one) => one.name === name) || {}).doc)),
  ].filter(Boolean);
  const shown = rows.map((row) => ({ ...row, remark: remarkOf(row), text: [row.entry, row.slots, ...row.badges, row.reason, row.anchor, ...fails(row)].join(" ").toLowerCase() }));
  return ranked(shown, columns, (row) => { location.hash = address("entry", row.entry); }, `the table of ${table.task}`);
}

/* Learning curves: one chart, with a choice of the curve's name. */
function curveFigure(data, rows) {
  const box = h("div", {});
  const name = h("select", { "aria-label": "curve" }, data.names.map((one, i) => h("option", { value: i }, one)));
  const at = data.axis ? h("select", { "aria-label": data.axis }, data.at.map((one, i) => h("option", { value: i }, `${data.axis} = ${one}`))) : null;
  const preferred = data.names.findIndex((one) => /val|monitor|test|accuracy/.test(one));
  name.value = String(Math.max(0, preferred));
  if (at) at.value = String(Math.floor(data.at.length / 2));
  const draw = () => {
    const picked = data.lines.filter((line) => line[1] === Number(name.value) && (!at || line[2] === Number(at.value))).sort((a, b) => a[0] - b[0]);
    const lines = picked.map((line) => ({ label: rows[line[0]].entry, x: data.xs[line[3]], y: line[4], lo: line[5] || undefined, hi: line[6] || undefined }));
    const ys = lines.flatMap((line) => line.y).filter((v) => v !== null), xs = lines.flatMap((line) => line.x);
    const spread = (values) => { const up = values.filter((v) => v > 0); return up.length > 1 && Math.max(...up) / Math.min(...up) > 8; };
    box.replaceChildren(switchable(lines, { logX: spread(xs), logY: spread(ys) && ys.every((v) => v > 0), x: "steps", y: data.names[Number(name.value)] }));
  };
  name.addEventListener("change", draw);
  if (at) at.addEventListener("change", draw);
  draw();
  return [h("h2", {}, "Learning curves"), h("div", { class: "filters" }, name, at), figure("Median over seeds with their range. A run that failed ends where it failed; one that reached its target keeps its last value.", box)];
}

/* The datasheet: the task's typed fields. */
function sheet(table) {
  const metrics = plain(["metric", "unit", "better", "scale", "what it is"], table.metrics.map((m) => [h("code", {}, m.name), m.unit || "—", m.better, m.scale + (m.source === "probe" ? ", probe" : "") + (m.target ? `, target ${m.target[0]} ≥ ${m.target[1]}` : ""), m.doc]), "metrics");
  const params = plain(["parameter", ...Object.keys(table.presets)], Object.keys(table.params).map((name) => [h("code", {}, name), ...Object.entries(table.presets).map(([preset, values]) => (preset === table.preset ? show(table.params[name]) : name in values ? show(values[name]) : "default"))]), "parameters");
  return h("section", { class: "sheet" }, h("h2", {}, "Datasheet"), facts([
    ["paper", paper(table.sheet.paper)], ["intended use", table.sheet.intended_use], ["known limits", table.sheet.known_limits], ["data source", table.sheet.data_source], ["data licence", table.sheet.data_licence], ["reference error", table.sheet.reference_error],
    ["floor", table.floors.join(", ")], ["reference", table.reference], ["budget", `${count(table.budget[1])} ${table.budget[0]}`],
  ].map(([name, value]) => [name, typeof value === "string" && value ? prose(value) : value])), h("details", {}, h("summary", {}, "metrics"), metrics), h("details", {}, h("summary", {}, "parameters and presets"), params));
}
