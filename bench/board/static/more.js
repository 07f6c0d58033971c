"use strict";
/* The pages of claims, speed-runs, figures, and how to submit. */

const VERDICTS = { reproduced: "✓", "not reproduced": "✗", mixed: "◐", inconclusive: "?", "not tested": "·", error: "!" };
const MEANINGS = {
  reproduced: "the whole interval agrees with the claim, in every setting", "not reproduced": "the whole interval contradicts the claim, in every setting",
  mixed: "settings disagree", inconclusive: "the interval crosses the claim’s bound", "not tested": "records are missing", error: "measuring failed",
};
const bounds = (one) => (one.interval ? range(...one.interval) : one.n > 2 ? "(all equal)" : "");
const verdict = (word) => h("span", { title: MEANINGS[word], class: `verdict ${word.replace(/ /g, "-")}` }, h("span", { "aria-hidden": "true" }, `${VERDICTS[word] || ""} `), word);
const wanted = (predicate) => Object.entries(predicate).map(([bound, value]) => `${bound} ${[].concat(value).map((v) => String(v).replace("-", "−")).join(" and ")}`).join();

Board.pages.claims = async (...parts) => {
  const claims = await Board.load("claims"), id = parts.join("/");
  if (id) return claimPage(claims, id);
  const counts = {};
  for (const one of claims) counts[one.verdict] = (counts[one.verdict] || 0) + 1;
  const rows = claims.map((one) => ({ ...one, rank: [1, 1], entry: one.id, badges: [], text: [one.id, one.statement, one.verdict, one.citation, one.paper].join(" ").toLowerCase() }));
  const measured = (r) => `${number(r.measured)} ${bounds(r)}`;
  const columns = [
    { title: "claim", width: 310, narrow: 176, left: true, frozen: true, css: "name", value: (r) => r.id, cell: (r) => { const node = link(r.id, "claims", r.id); node.title = r.id; return node; } },
    { title: "verdict", width: 140, left: true, tip: "of the claim over all its settings", value: (r) => r.verdict, cell: (r) => verdict(r.verdict) },
    { title: "statement", width: 380, grow: 3, left: true, wide: true, value: (r) => r.statement, cell: (r) => h("span", { title: r.statement }, prose(r.statement)) },
    { title: "measured [95 %]", width: fit(rows.map(measured), 150), left: true, css: "num", tip: "over seeds, in the claim’s own unit", value: (r) => r.measured, cell: (r) => h("span", {}, measured(r)) },
    { title: "wanted", width: fit(rows.map((r) => wanted(r.predicate)), 120), left: true, css: "num", tip: "values that agree with the claim", value: (r) => wanted(r.predicate), cell: (r) => h("span", {}, wanted(r.predicate)) },
    { title: "n", width: 50, css: "num", tip: "seeds, the fewest of a setting", value: (r) => r.n, cell: (r) => String(r.n) },
  ];
  const holder = ranked(rows, columns, (row) => { location.hash = address("claims", row.id); }, "claims", Object.fromEntries(Object.keys(counts).map((word) => [word, (row) => row.verdict === word])));
  holder.classList.add("flat");
  return [h("h1", {}, "Claims", h("span", { class: "sub" }, "papers’ statements, measured again from records; one that does not reproduce is worth as much")), factLine(Object.entries(counts).map(([word, n]) => h("span", {}, `${n} `, verdict(word)))), holder];
};

async function claimPage(claims, id) {
  const one = claims.find((claim) => claim.id === id);
  if (!one) throw new Error(`no claim ${id} on this board`);
  const family = id.split("/")[0], figures = h("div", { class: "figures" });
  if (Board.index.figures.includes(family)) Board.load(`figures-${family}`).then((drawings) => figures.append(...drawings.map(drawing)));
  const measured = one.settings.flatMap((setting) => [setting.measured, ...(setting.interval || []), ...Object.values(setting.values)]);
  const limits = Object.values(one.predicate).flat(), scale = axisOf([...measured, ...limits], 260, one.scale === "log");
  const glyph = (setting) => { const cell = h("span", {}); cell.innerHTML = interval(scale, setting.measured, ...(setting.interval || [null, null]), "ranked", limits.map((at) => [at, "reference"]), `measured ${number(setting.measured)}`, [Object.values(setting.values), "o".repeat(Object.keys(setting.values).length)]); return cell; };
  return [
    h("h1", {}, one.id, h("span", { class: "sub" }, verdict(one.verdict))),
    h("p", { class: "sentence" }, prose(one.statement)),
    factLine([h("span", {}, paper(`${one.citation || ""} ${one.paper || ""}`)), `wanted ${wanted(one.predicate)} (${one.unit})`, `bound fixed ${one.threshold} seeing data`, Number.isInteger(one.tried.settings) ? `${plural(one.tried.settings, "setting")} tried` : `settings tried: ${show(one.tried.settings)}`, `${hours(one.cpu_seconds)}`]),
    plain(["setting", `${one.unit}${one.scale === "log" ? " (log)" : ""}; ruled: wanted`, "measured [95 %]", "n", "verdict", "records"], one.settings.map((setting) => [setting.name, glyph(setting), `${number(setting.measured)} ${bounds(setting)}`, String(setting.n), verdict(setting.verdict),
      setting.error || [setting.missing ? `${plural(setting.missing, "cell")} missing ` : null, setting.older ? `${setting.older} of older code ` : null, setting.keys.length ? h("details", {}, h("summary", {}, plural(setting.keys.length, "record")), setting.keys.map((key) => [link(key.slice(0, 8), "record", key.slice(0, 12)), " "])) : "none"]]), "settings"),
    one.note ? h("p", {}, prose(one.note)) : null,
    command(`bench claims ${one.id}`),
    h("h2", {}, `Figures of ${family}`), figures,
  ];
}

Board.pages.figures = async (family) => {
  if (!family) return [h("h1", {}, "Figures"), h("ul", {}, Board.index.figures.map((one) => h("li", {}, link(one, "figures", one))))];
  const drawings = await Board.load(`figures-${family}`);
  return [h("h1", {}, `Figures of ${family}`), h("div", { class: "figures" }, drawings.map(drawing))];
};

Board.pages.submit = async () => [Board.own("article", { class: "document" }, await Board.load("submit"))];

Board.pages.speedruns = async () => {
  const tables = await Board.load("speedruns");
  return [h("h1", {}, "Speed-runs", h("span", { class: "sub" }, "the lowest cost at which every seed reached the target, over time; each line beat the one before at one-sided p < 0.01")),
    tables.map((table) => [h("h2", {}, link(table.task, "task", table.task), ` by ${table.by === "steps" ? table.metric : "CPU seconds"}`), h("p", { class: "quiet" }, `version ${table.version} · preset ${table.preset} · budget ${count(table.budget)}`, table.by === "cpu" ? ` · ${Board.index.cpu}` : null),
      table.rows.length > 1 ? figure("The record over time.", progression(table)) : null,
      plain(["entry", "steps", table.by === "cpu" ? "CPU s" : null, "date", "how", "p", "records"].filter(Boolean), table.rows.map((row) => [link(row.entry, "entry", row.entry), count(row.steps), ...(table.by === "cpu" ? [number(row.cpu)] : []), day(row.date), row.how + (row.against ? ` against ${row.against}` : ""), number(row.p, 2), row.keys.map((key) => [link(key.slice(0, 8), "record", key.slice(0, 12)), " "])]), `speed-runs of ${table.task}`)])];
};

/* The best result so far as a step over the dates. */
function progression(table) {
  const width = 620, height = 180, left = 70, bottom = 30, best = (row) => (table.by === "steps" ? row.steps : row.cpu);
  const times = table.rows.map((row) => Date.parse(row.date)), values = table.rows.map(best);
  const sx = axisOf(times.length > 1 ? times : [times[0] - 864e5, times[0] + 864e5], width - left - 110), sy = axisOf([0, 1.15 * Math.max(...values)], height - bottom);
  const X = (v) => left + sx.to(v), Y = (v) => height - bottom - sy.to(v);
  const node = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart progression", role: "img", "aria-label": `the record of ${table.task} over time` });
  for (const v of ticksOf(sy.lo, sy.hi, false)) node.append(s("line", { class: "grid", x1: left, x2: width, y1: Y(v), y2: Y(v) }), s("text", { x: left - 6, y: Y(v) + 4, "text-anchor": "end" }, tick(v)));
  node.append(s("path", { class: "front", d: times.map((t, i) => (i ? `H${X(t)}V${Y(values[i])}` : `M${X(t)},${Y(values[i])}`)).join("") + `H${width}` }));
  table.rows.forEach((row, i) => node.append(s("circle", { cx: X(times[i]), cy: Y(values[i]), r: 4.5, fill: COLOURS[0] }), s("text", { class: "label", x: X(times[i]) + 8, y: Y(values[i]) - 6 }, row.entry), s("text", { x: X(times[i]), y: height - 8, "text-anchor": "middle" }, i === 0 || X(times[i]) - X(times[i - 1]) > 80 ? day(row.date) : "")));
  return node;
}
