"use strict";
/* An entry's page: its rows on every task, its configuration, its tuning. A record's page: all fields of one cell's record. */

Board.pages.entry = async (...parts) => {
  const name = parts.join("/"), place = Board.index.entries.findIndex((one) => one[0] === name);
  if (place < 0) throw new Error(`no entry ${name} on this board`);
  const places = Board.index.entries[place][2];
  const [entry, ...tables] = await Promise.all([Board.load(`entry-${place}`), ...places.map((p) => Board.load(`table-${p}`))]);
  const rows = tables.map((table) => {
    const row = Board.rowsOf(table).find((one) => one.entry === name);
    return { ...row, table, task: table.task, metric: table.metrics.find((one) => one.name === table.metric), text: [table.task, ...row.badges, row.reason].join(" ").toLowerCase() };
  });
  const about = entry.about;
  return [
    h("h1", {}, name, h("span", { class: "sub" }, about.doc || "")),
    factLine([`on ${plural(rows.length, "table")}`, about.paper ? h("span", {}, paper(about.paper)) : null, (about.authors || []).length ? `by ${[].concat(about.authors).join(", ")}` : null, about.licence]),
    entryTable(rows),
    footnotes(tables[0].method, tables[0].notes[0], null),
    entry.verified.length ? verification(entry.verified) : null,
    h("h2", {}, about.search ? "Configuration before tuning" : "Configuration"), h("pre", {}, about.config || "the task’s own default parts"),
    about.search ? [h("h2", {}, "Search space"), plain(["path", "space"], Object.entries(about.search).map(([path, space]) => [h("code", {}, path), Array.isArray(space) ? `${space[0]} to ${space[1]}, log` : show(space.values || space)]), "search space")] : null,
    Object.keys(entry.tuning).length ? [h("h2", {}, "Tuning"), Object.entries(entry.tuning).map(([task, one]) => tuning(task, one))] : null,
    h("h2", {}, "Records"),
    rows.map((row) => h("p", { class: "keys" }, link(row.task, "task", row.table.id), ": ", row.keys.length ? row.keys.map((key) => [link(key.slice(0, 8), "record", key), " "]) : "none")),
  ];
};

function entryTable(rows) {
  const wide = skillAxis(rows.flatMap((row) => [row.skill, row.skill_lo, row.skill_hi]), axisWidth());
  const narrow = matchMedia("(max-width: 640px)").matches, name = (r) => `${r.metric.name} `;
  const columns = [
    shared.rank,
    { title: "task", width: 230, narrow: 150, grow: 1, left: true, css: "name", value: (r) => r.task, cell: (r) => { const node = link(narrow ? r.table.id.split("/").at(-1) : r.table.id, "task", r.table.id); node.title = r.table.id; return node; } },
    shared.badges,
    { title: "skill", width: axisWidth() + 12, left: true, css: "axis", down: true, tip: "0 at the floor, less below it (drawn down to −1), 1 at the reference; mean over seeds with its 95 % interval", head: axisHead("skill", wide, [[0, "floor 0"], [1, "1 reference"]]), value: (r) => r.skill,
      cell: (r) => interval(wide, r.skill, r.skill_lo, r.skill_hi, r.rank ? (r.rank[0] === 1 ? "lead" : "ranked") : "open", [[0, "floor"], [1, "reference"]], `skill ${fixed(r.skill)} ${fixedRange(r.skill_lo, r.skill_hi)}`) },
    { title: "value [95 %]", width: Math.max(...rows.map((r) => valueWidth([r], name(r)))), grow: 1, left: true, css: "num", tip: VALUE, value: (r) => centre(r), cell: (r) => valueCell(r, name(r)) },
    shared.ok, shared.cpu, trialsColumn(rows),
    rows.some((row) => row.near !== null) ? tunedColumns([0, ""])[1] : null, rows.some((row) => row.reason) ? shared.remark : null,
  ].filter(Boolean);
  return ranked(rows.map((row) => ({ ...row, remark: remarkOf(row) })), columns, (row) => { location.hash = address("task", row.table.id); }, "the entry’s rows");
}

const verification = (marks) => [h("h2", {}, "Verification"), plain(["task", "verdict", "claimed", "fresh seeds", "p", "power", "replayed", "when"],
  marks.map((one) => [`${one.task} (${one.preset})`, badge(one.verdict), number((one.claimed || {}).mean), `${number((one.fresh || {}).mean)} over ${plural((one.fresh && one.fresh.seeds && one.fresh.seeds.length) || 0, "seed")}`, number(one.p, 2), one.power ? Math.min(...Object.values(one.power)).toFixed(2) : "—", one.replayed ? (one.replayed.equal ? "bit-equal" : `differs by ${number(one.replayed.difference, 2)}`) : "—", day(one.when)]), "verification"),
  h("p", { class: "quiet" }, "Means on the metric’s own scale; p: of the claim being no better than the fresh seeds. Power: the least chance that the best of ten times as many seeds would have been disputed, over normal, lognormal and two-humped noise."),
  marks.filter((one) => one.reason).map((one) => h("p", { class: "quiet" }, `${one.task}: ${one.reason}`))];

/* Trials of one task, with the expected best of k: the score at an equal number of trials. */
function tuning(task, one) {
  const chosen = Object.entries(one.values || {}), isChosen = (row) => chosen.length && chosen.every(([path, value]) => row[path] === value);
  const facts_ = [`trials: ${trialsText(one)}`, one.tried > one.trials ? `${one.tried} settings tried in all` : null, one.space, one.objective ? `chosen by ${one.objective} on validation` : null, chosen.length ? `chosen ${chosen.map(([path, value]) => `${path} ${show(value)}`).join(", ")}` : null, one.sensitivity !== null && one.sensitivity !== undefined ? `${Math.round(100 * one.sensitivity)} % of the space within 5 % of the best` : null, one.at_the_edge.length ? `best at the edge of ${one.at_the_edge.join(", ")}` : null];
  const paths = [...new Set(one.table.flatMap((row) => Object.keys(row).filter((key) => !["objective", "seeds", "cpu_seconds"].includes(key))))];
  const best = one.best_of || [];
  return h("details", {}, h("summary", {}, h("b", {}, task), " ", facts_.filter(Boolean).join(" · ")),
    h("div", { class: "figures" },
      plain([...paths, one.objective || "objective", ""], one.table.map((row) => [...paths.map((path) => show(row[path])), typeof row.objective === "number" ? count(row.objective) : show(row.objective), isChosen(row) ? "← chosen" : ""]), `trials on ${task}`),
      best.length > 1 ? plain(["trials", "expected best"], best.map((value, i) => [String(i + 1), count(value)]), "expected best of k trials") : null));
}

const COSTS = { cpu_total: "CPU s, in all", cpu_entry: "CPU s, the entry’s process", wall: "seconds on the clock", rss_mb: "peak memory, MB" };

Board.pages.record = async (key) => {
  const chunk = await Board.load(`records/${key.slice(0, Board.index.digits)}`);
  const found = chunk.records.filter((one) => one.key.startsWith(key));
  if (found.length !== 1) throw new Error(found.length ? `${found.length} records start with ${key}; give more characters` : `no record starts with ${key}`);
  const record = { ...found[0] };
  for (const name of ["config", "params", "limits", "near", "packages"]) if (typeof record[name] === "number") record[name] = chunk.shared[record[name]];
  const table = record.table === null ? null : await Board.load(`table-${record.table}`); // a claim's record may be in no table
  const row = table && Board.rowsOf(table).find((one) => one.entry === record.entry);
  const siblings = row ? row.keys : [];
  const p = record.provenance || {}, costs = record.costs, trials = row ? row.trials : record.trials;
  const metricOf = (name) => (table && table.metrics.find((one) => one.name === name)) || {}, measured = Object.entries(record.metrics);
  return [
    h("h1", {}, "Record ", h("code", {}, record.key.slice(0, 12)), h("span", { class: "sub" }, link(record.entry, "entry", record.entry), " on ", table ? link(table.id, "task", table.id) : record.task, `, seed ${record.seed}`)),
    factLine([h("span", { class: record.status === "ok" ? "fine" : "bad" }, `${record.status === "ok" ? "✓" : "✕"} ${record.status}`), `version ${record.version}`, `preset ${record.preset}`, trials === null || trials === undefined ? "untuned" : plural(trials, "tuning trial"), p.ended ? `made ${time(p.ended)}` : null]),
    record.reason ? h("p", { class: "bad" }, record.reason) : null,
    record.look.map((sentence) => h("p", { class: "quiet" }, `Unusual: ${sentence}.`)),
    h("h2", {}, "Run it again"), command(record.again),
    siblings.length > 1 ? h("p", { class: "keys" }, "The row’s records: ", siblings.map((one) => [record.key.startsWith(one) ? h("b", {}, one.slice(0, 8)) : link(one.slice(0, 8), "record", one), " "])) : null,
    h("div", { class: "two" },
      h("section", {}, h("h2", {}, "Metrics"), measured.length ? plain(["metric", "value", "unit"], measured.map(([name, value]) => [h("code", { title: metricOf(name).doc }, name), `${show(value)}${(record.censored || []).includes(name) ? " (target not reached)" : ""}`, metricOf(name).unit || "—"]), "metrics") : h("p", { class: "quiet" }, "None: the cell did not end well.")),
      h("section", {}, h("h2", {}, "Costs"), plain(["what", "amount"], [...Object.entries(costs.cpu || {}).map(([phase, value]) => [`CPU s, ${phase}`, number(value, 4)]), ...Object.entries(costs.counts || {}), ...Object.entries(costs).filter(([name]) => name !== "cpu" && name !== "counts").map(([name, value]) => [COSTS[name] || name, count(value)])], "costs"))),
    h("h2", {}, "Configuration"),
    record.near ? [h("p", {}, "Nearest baseline: ", link(record.near[0], "entry", record.near[0]), record.near[1].length ? ", which differs in" : ", with the same configuration."),
      record.near[1].length ? plain(["path", record.entry, record.near[0]], record.near[1].map(([path, mine, theirs]) => [h("code", {}, path), show(mine), show(theirs)]), "difference to the nearest baseline") : null] : null,
    h("details", {}, h("summary", {}, "the whole configuration"), h("pre", {}, JSON.stringify(record.config, null, 1))),
    h("details", {}, h("summary", {}, "the task’s parameters"), h("pre", {}, JSON.stringify(record.params, null, 1))),
    h("h2", {}, "Environment"),
    facts([...Object.entries(p).map(([name, value]) => [name, show(value)]), ["packages", record.packages ? Object.entries(record.packages).map(([name, version]) => `${name} ${version}`).join(", ") : null], ["limits", record.limits ? show(record.limits) : null], ["absent", (record.absent || []).join(", ")], ["attempt", record.attempt]]),
    record.traceback ? [h("h2", {}, "Traceback"), h("pre", { class: "bad" }, record.traceback)] : null,
    h("h2", {}, "Log"), record.output ? h("pre", {}, record.output) : h("p", { class: "quiet" }, "It printed nothing."),
  ];
};
