"use strict";
/* Charts of a page: curves and profiles by uPlot, cost against quality and win matrices as SVG and table. */

/* Colours of Okabe and Ito 2008, each with four dashes: the first 28 lines all differ. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
const look = (i) => ({ colour: COLOURS[i % COLOURS.length], dash: DASHES[Math.floor(i / COLOURS.length) % DASHES.length] });
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const SHOWN = 6; // lines drawn at first; the reader can switch on more

/* The label of a tick, without trailing zeros. */
const tick = (v) => number(v, 2).replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "");

Board.charts = [];

/* lines: {label, x, y, lo?, hi?}. Each is drawn with its band, all on one common list of x. */
function lineChart(box, lines, { logX, logY, x, y, looks, stepped }) {
  const usable = (v) => (v !== null && (!logY || v > 0) ? v : null);
  const tables = lines.map((line) => {
    const keep = line.x.map((v, i) => i).filter((i) => !logX || line.x[i] > 0);
    const pick = (values) => keep.map((i) => usable(values[i]));
    return [keep.map((i) => line.x[i]), pick(line.y), ...(line.lo ? [pick(line.lo), pick(line.hi)] : [])];
  });
  const data = uPlot.join(tables);
  const series = [{ label: x }], bands = [];
  lines.forEach((line, i) => {
    const style = looks[i];
    series.push({ label: line.label, stroke: style.colour, dash: style.dash, width: 1.8, spanGaps: true, points: { show: line.x.length < 12 }, paths: stepped ? uPlot.paths.stepped({ align: 1 }) : undefined });
    if (line.lo) {
      for (const edge of ["lowest", "highest"]) series.push({ label: `${line.label} ${edge}`, stroke: "transparent", width: 0, spanGaps: true, points: { show: false } });
      bands.push({ series: [series.length - 1, series.length - 2], fill: `${style.colour}26` });
    }
  });
  const grid = { stroke: ink("--line"), width: 1 };
  const ticks = (scaled) => (u, splits) => splits.map((v) => (v === null ? "" : scaled && Math.abs(Math.log10(Math.abs(v)) % 1) > 1e-9 ? "" : tick(v)));
  const chart = new uPlot({
    width: Math.max(260, box.clientWidth), height: 300, bands, series,
    legend: { show: false },
    cursor: { points: { show: false }, drag: { x: true, y: false } },
    scales: { x: { time: false, distr: logX ? 3 : 1 }, y: { distr: logY ? 3 : 1 } },
    axes: [
      { stroke: ink("--quiet"), grid, ticks: grid, label: x, labelSize: 22, values: ticks(logX) },
      { stroke: ink("--quiet"), grid, ticks: grid, label: y, labelSize: 22, size: 62, values: ticks(logY) },
    ],
  }, data, box);
  Board.charts.push(chart);
  return chart;
}

/* Lines with a list that switches them on and off, and switches for the axes. */
function switchable(all, options) {
  const box = h("div", { class: "plot" }), list = h("div", { class: "legend", role: "group", "aria-label": "lines" });
  const on = new Set(all.map((_, i) => i).filter((i) => i < SHOWN));
  const state = { logX: options.logX, logY: options.logY };
  const draw = () => {
    box.replaceChildren();
    const picked = all.map((line, i) => [line, i]).filter(([, i]) => on.has(i));
    if (picked.length) lineChart(box, picked.map(([line]) => line), { ...options, ...state, looks: picked.map(([, i]) => look(i)) });
    else box.append(h("p", { class: "quiet" }, "no line is chosen"));
  };
  all.forEach((line, i) => {
    const style = look(i);
    const key = s("svg", { width: 26, height: 10, "aria-hidden": "true" }, s("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: style.colour, "stroke-width": 2.4, "stroke-dasharray": style.dash.join(" ") || null }));
    const button = h("button", { type: "button", "aria-pressed": String(on.has(i)), onclick: () => {
      if (on.has(i)) on.delete(i); else on.add(i);
      button.setAttribute("aria-pressed", String(on.has(i)));
      draw();
    } }, key, line.label);
    list.append(button);
  });
  const flip = (name, text) => h("label", {}, h("input", { type: "checkbox", checked: state[name], onchange: (event) => { state[name] = event.target.checked; draw(); } }), text);
  const node = h("div", {}, options.fixed ? null : h("div", { class: "switches" }, [flip("logX", `log ${options.x}`), flip("logY", `log ${options.y}`)]), box, list);
  Board.after(draw, box);
  return node;
}

/* Draw once the library is loaded and the box is on the page with a width, and again when the window changes. */
Board.after = (draw, box) => {
  Board.script("vendor/uPlot.iife.min.js").then(() => requestAnimationFrame(() => { if (box.isConnected) draw(); }));
  Board.redraws.push(() => box.isConnected && draw());
};
Board.redraws = [];

/* Ticks of an axis: powers of ten on a log axis (also twice and five times these over less than two decades), about five round numbers on a linear one. */
function ticksOf(lo, hi, log) {
  if (log) {
    const found = [], all = Math.log10(hi / lo) < 2;
    for (let p = Math.floor(Math.log10(lo)); p <= Math.ceil(Math.log10(hi)); p++) {
      for (const m of all ? [1, 2, 5] : [1]) { const v = m * 10 ** p; if (v >= lo * 0.999 && v <= hi * 1.001) found.push(v); }
    }
    return found;
  }
  const rough = (hi - lo) / 5 || 1, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= rough);
  const found = [];
  for (let v = Math.ceil(lo / step) * step; v <= hi + step / 1e6; v += step) found.push(Math.abs(v) < step / 1e6 ? 0 : v);
  return found;
}

/* CPU seconds of the entry's process against the ranking metric, with a step through the entries that no other beats in both. points: {entry, x, y, lo, hi, group}. */
function scatter(points, { yLabel, logY, better }) {
  const width = Math.max(320, Math.min(620, innerWidth - 56)), height = 330, left = 70, bottom = 44, right = 16, top = 10;
  const good = points.filter((p) => p.x > 0 && p.y !== null && (!logY || p.y > 0));
  if (!good.length) return h("p", { class: "quiet" }, "no entry has both a cost and a value");
  const widen = ([lo, hi], log) => (log ? [lo / 1.4, hi * 1.4] : [lo - (hi - lo || 1) * 0.08, hi + (hi - lo || 1) * 0.08]);
  const extent = (values) => [Math.min(...values), Math.max(...values)];
  const [x0, x1] = widen(extent(good.map((p) => p.x)), true);
  const [y0, y1] = widen(extent(good.flatMap((p) => [p.y, p.lo, p.hi]).filter((v) => v !== null && (!logY || v > 0))), logY);
  const sx = axis(x0, x1, width - left - right, true, 0), sy = axis(y0, y1, height - top - bottom, logY, 0);
  const X = (v) => left + sx.to(v), Y = (v) => height - bottom - sy.to(v);
  const node = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": `CPU seconds against ${yLabel}` });
  for (const v of ticksOf(x0, x1, true)) node.append(s("line", { class: "grid", x1: X(v), x2: X(v), y1: top, y2: height - bottom }), s("text", { x: X(v), y: height - bottom + 16, "text-anchor": "middle" }, tick(v)));
  for (const v of ticksOf(y0, y1, logY)) node.append(s("line", { class: "grid", x1: left, x2: width - right, y1: Y(v), y2: Y(v) }), s("text", { x: left - 6, y: Y(v) + 4, "text-anchor": "end" }, tick(v)));
  node.append(s("text", { x: (width + left) / 2, y: height - 6, "text-anchor": "middle" }, "CPU s of the entry’s process, a seed (log)"), s("text", { transform: `translate(14 ${(height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
  const front = [];
  for (const p of [...good].sort((a, b) => a.x - b.x || (better === "min" ? a.y - b.y : b.y - a.y))) {
    if (!front.length || (better === "min" ? p.y < front.at(-1).y : p.y > front.at(-1).y)) front.push(p);
  }
  if (front.length > 1) node.append(s("path", { class: "front", d: front.map((p, i) => (i ? `H${X(p.x)}V${Y(p.y)}` : `M${X(p.x)},${Y(p.y)}`)).join("") }));
  const groups = [...new Set(good.map((p) => p.group))], placed = good.map((p) => [X(p.x) - 5, Y(p.y) + 4, 10]); // a label may overlap none of these marks and labels
  for (const p of [...front, ...good.filter((one) => !front.includes(one))]) {
    const style = look(groups.indexOf(p.group)), on = front.includes(p), x = X(p.x), y = Y(p.y);
    if (p.lo !== null && p.hi !== null && (!logY || p.lo > 0)) node.append(s("line", { x1: x, x2: x, y1: Y(p.lo), y2: Y(p.hi), stroke: style.colour, "stroke-width": 1.5 }));
    const mark = groups.indexOf(p.group) % 2 ? s("rect", { x: x - 4, y: y - 4, width: 8, height: 8 }) : s("circle", { cx: x, cy: y, r: 4.5 });
    fill(mark, { fill: on ? style.colour : "var(--card)", stroke: style.colour, "stroke-width": 1.8 }, []);
    node.append(s("a", { href: address("entry", p.entry) }, mark, s("title", {}, `${p.entry}: ${number(p.y)} at ${number(p.x)} CPU s`)));
    if (!on && good.length > 24) continue;
    const wide = 6.3 * p.entry.length, spots = [[x + 8, y + 4], [x - 8 - wide, y + 4], [x - wide / 2, y - 9], [x - wide / 2, y + 17]]; // beside, above or below its mark
    const free = spots.find(([a, b]) => a > left && a + wide < width && !placed.some(([c, d, w]) => a < c + w && c < a + wide && Math.abs(b - d) < 12));
    if (free) { node.append(s("text", { class: "label", x: free[0], y: free[1] }, p.entry)); placed.push([...free, wide]); }
  }
  return node;
}

/* The share of seeds on which the row beats the column, as numbers and as shades. */
function winMatrix(duel, choose) {
  const cell = (value, i, j) => {
    if (value === null) return h("td", { class: "self" }, "");
    const share = Math.round(100 * Math.abs(value - 0.5));
    return h("td", { class: value > 0.5 ? "win" : value < 0.5 ? "loss" : "", style: `--share:${share}%`, onclick: choose && (() => choose(i, j)) }, value.toFixed(2));
  };
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "win matrix" }, h("table", { class: "wins" },
    h("thead", {}, h("tr", {}, h("th", {}, "beats →"), duel.entries.map((name, i) => h("th", { scope: "col", title: name }, String(i + 1))))),
    h("tbody", {}, duel.entries.map((name, i) => h("tr", {}, h("th", { scope: "row" }, `${i + 1}  `, link(name, "entry", name)), duel.wins[i].map((value, j) => cell(value, i, j)))))));
}

function profile(duel) {
  const lines = duel.entries.map((label, i) => ({ label, x: duel.profile.ratios, y: duel.profile.shares[i] }));
  return switchable(lines, { logX: true, logY: false, x: "ratio to the best", y: "share of seeds", fixed: true, stepped: true });
}

/* The comparison of two entries, which the reader chooses, on the same seeds, as a sentence. */
function versus(duel, metric, rows) {
  const names = duel.entries, sentence = h("p", { "aria-live": "polite" }), rank = (name) => { const row = rows.find((one) => one.entry === name); return ranks(row.rank, row.provisional); };
  const [one, two] = ["one", "other"].map((word) => h("select", { "aria-label": `the ${word} entry`, onchange: () => tell() }, names.map((name, i) => h("option", { value: i }, name))));
  const tell = () => {
    const a = Number(one.value), b = Number(two.value), [i, j] = a < b ? [a, b] : [b, a];
    if (a === b) { sentence.textContent = "Choose two entries."; return; }
    const ratio = metric.scale !== "linear";
    let [mid, lo, hi, pairs, apart] = duel.gaps[i][j - i - 1];
    const turn = (v) => (v === null ? null : ratio ? 1 / v : -v);
    if (a > b) [mid, lo, hi] = [turn(mid), turn(hi), turn(lo)];
    const what = `${metric.name}${metric.scale === "logit" ? ", odds" : ""}, ${names[a]} ${ratio ? "/" : "−"} ${names[b]}`;
    sentence.textContent = `${what}: ${number(mid)} ${lo === null || hi === null ? "(no interval: a seed failed or missed its target)" : `${range(lo, hi)}, paired, 95 %`}, ${plural(pairs, "seed")}; ${names[a]} wins ${Math.round(100 * duel.wins[a][b])} %. The ranking ${apart ? "separates them" : "does not separate them"} (ranks ${rank(names[a])} and ${rank(names[b])}).`;
  };
  const choose = (a, b) => { one.value = String(a); two.value = String(b); tell(); };
  choose(0, 1);
  return [choose, h("div", { class: "versus" }, h("div", { class: "filters" }, one, "against", two), sentence)];
}

/* Win matrices and performance profiles with their captions. */
function duelFigures(duels, over, each, metric = null, rows = null) {
  return duels.filter((duel) => duel.entries.length > 1).flatMap((duel) => { const [choose, against] = duel.gaps ? versus(duel, metric, rows) : [null, null]; return [
    figure(`Win matrix${duel.group ? `, ${duel.group}` : ""}: how often the row beats the column on the same ${each} (${duel.pairs} pairs; ties count half).`, winMatrix(duel, choose), against),
    duel.profile ? figure(`Performance profile${duel.group ? `, ${duel.group}` : ""}: share of ${over} on which an entry is within the ratio of the best (Dolan and Moré 2002). Failures are beyond every ratio.`, profile(duel)) : null,
  ]; });
}
