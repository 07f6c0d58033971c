"use strict";
/* The first screen: a suite's sections, each one table. */

Board.pages = {};

const FEW = 5; // up to this many tables of one task are tabs; more become a list

/* A line of facts: suite · slot · division · version · last published · core-hours. */
function factLine(parts) {
  return h("p", { class: "factline" }, parts.filter(Boolean).map((part) => h("span", {}, part)));
}
const spent = (one) => `${hours((one.cpu || 0) + (one.cpu_tuning || 0))} (${one.cpu_tuning ? "tuning and " : ""}${plural(one.failed, "failed cell")} included${one.untimed ? `; the tuning of ${plural(one.untimed, "row")} is of unknown cost` : ""})`;
const versions = (tasks) => { const all = [...new Set(tasks.map((task) => task[2]))]; return all.length === 1 ? `task version ${all[0]}` : `task versions ${all.sort().join(", ")}`; };

function sectionTabs(data, chosen, name) {
  const tab = (one) => h("a", { href: address("suite", name, one.id), "aria-current": one === chosen ? "page" : null },
    one.kind === "tasks" ? `${one.slots.join(" + ")}${one.group === "closed" || one.group === one.slots.join() ? "" : ` (${one.group})`}` : one.tasks[0][1] + (one.group === "closed" ? "" : `: ${one.division}`),
    h("span", { class: "quiet" }, one.kind === "tasks" ? ` over ${plural(one.tasks.length, "task")}` : ` ${one.slots.join(", ")}`));
  const several = data.sections.filter((one) => one.kind === "tasks"), single = data.sections.filter((one) => one.kind !== "tasks");
  if (single.length <= FEW) return h("nav", { class: "tabs", "aria-label": "sections" }, data.sections.map(tab));
  const choice = h("select", { "aria-label": "tables of one task", onchange: () => { location.hash = address("suite", name, choice.value); } },
    h("option", { value: "", disabled: true, selected: !single.includes(chosen) }, `${plural(single.length, "table")} of one task …`),
    single.map((one) => h("option", { value: one.id, selected: one === chosen }, `${one.tasks[0][1]}, ${one.division}`)));
  return h("nav", { class: "tabs", "aria-label": "sections" }, several.map(tab), choice);
}

Board.pages.suite = async (name, ...rest) => {
  const place = Board.index.suites.findIndex((suite) => suite.name === name);
  if (place < 0) throw new Error(`no suite ${name}; there are ${Board.index.suites.map((suite) => suite.name).join(", ")}`);
  const data = await Board.load(`suite-${place}`);
  const chosen = data.sections.find((one) => one.id === rest.join("/")) || data.sections[0];
  if (!chosen) return [h("h1", {}, `${name}`), h("p", {}, "This suite has no table yet.")];
  return [
    h("h1", {}, `Suite ${name}`, h("span", { class: "sub" }, prose(data.doc))),
    data.sections.length > 1 ? sectionTabs(data, chosen, name) : null,
    factLine([`suite ${name}`, chosen.kind === "task" ? h("span", {}, "task ", link(chosen.tasks[0][1], "task", chosen.tasks[0][0])) : null, chosen.slots.length ? `slot ${chosen.slots.join(" + ")}` : "default parts", chosen.division, versions(chosen.tasks), `last published ${day(chosen.ended)}`, spent(chosen)]),
    h("p", { class: "sentence" }, chosen.sentence, leader(chosen)),
    sectionTable(chosen),
    footnotes(data.method, data.scope, chosen),
    deferred(h("div", { class: "figures" }), () => duelFigures(chosen.duels || [], "tasks and seeds", "task and seed")),
  ];
};

/* What leaving out one task would change, of the first pair of entries that says so. */
const leader = (section) => {
  const words = (section.duels || []).map((duel) => duel.without).find(Boolean);
  return words ? h("span", { class: "quiet" }, ` ${words}`) : null;
};

const footnotes = (method, scope, section) => h("div", { class: "notes" },
  h("p", {}, h("span", { class: "keyed leaderkey" }, "shaded"), " may be first; below the line: unranked. ", section && section.axis ? `Skill is undefined here: the dots show ${section.axis[0]} itself. ` : "Skill is 0 at the task’s floor, less below it, 1 at its reference; an axis ends at −1, with what lies below drawn at its edge. In a small cell each dot is a seed, each ✕ a failed one. "),
  h("p", {}, method), h("p", {}, upper(scope) + "."));

function sectionTable(section) {
  const own = section.axis, log = Boolean(own && own[3] === "log");
  const every = section.rows.flatMap((row) => [row.skill, row.lo, row.hi]);
  const wide = own ? axisOf(every, axisWidth(), log) : skillAxis(every, axisWidth());
  const seeds = section.rows.flatMap((row) => row.cells.flatMap((cell) => (cell ? cell[0] : [])));
  const small = own ? axisOf(seeds, 74, log) : skillAxis(seeds, 74);
  const ruled = own ? [[wide.lo, number(wide.lo, 2)], [wide.hi, number(wide.hi, 2)]] : [[0, "floor 0"], [1, "1 reference"]];
  const rules = own ? [] : [[0, "floor"], [1, "reference"]];
  const word = own ? own[0] : "skill";
  const several = section.kind === "tasks";
  const skillText = (r) => (own ? number(r.skill) : fixed(r.skill)), rangeText = (r) => (own ? range(r.lo, r.hi) : fixedRange(r.lo, r.hi));
  const columns = [
    shared.rank, entryColumn(section.rows), badgesColumn(section.rows),
    { title: word, width: axisWidth() + 12, left: true, css: "axis", down: !own || own[2] === "max", tip: `${several ? "mean over the tasks" : "mean over seeds"} with its 95 % interval`, head: axisHead(own ? `${own[0]} ${own[2] === "min" ? "↓" : "↑"}` : several ? "mean skill" : "skill", wide, ruled), value: (r) => r.skill,
      cell: (r) => interval(wide, r.skill, r.lo, r.hi, r.rank ? (r.rank[0] === 1 ? "lead" : "ranked") : "open", rules, `${word} ${skillText(r)} ${rangeText(r)}`) },
    { title: own ? "value [95 %]" : "skill [95 %]", width: fit(section.rows.map((r) => `${skillText(r)} ${rangeText(r)}`), 140), left: true, css: "num", tip: own ? own[0] : "0 at the task’s floor, less below it, 1 at its reference; its mean over seeds, and over the tasks, with a 95 % interval", down: !own || own[2] === "max", value: (r) => r.skill, cell: (r) => h("span", {}, skillText(r), h("span", { class: "quiet" }, ` ${rangeText(r)}`)) },
    several && section.tasks.length >= 8 ? { title: "IQM", width: 62, css: "num", wide: true, down: true, tip: "interquartile mean of the tasks’ means", value: (r) => r.middle, cell: (r) => fixed(r.middle) } : null,
    ...section.tasks.map((task, i) => ({ title: task[1], width: Math.max(82, ...task[1].split("/").at(-1).split("_").map((part) => 8 * part.length)), middle: true, wide: true, down: true, css: "small", tip: `${task[1]}, version ${task[2]}, ${task[3]}: a dot a seed, a cross where one failed`,
      head: h("a", { class: "taskhead", href: address("task", task[0]) }, task[1].split("/").at(-1).split("_").flatMap((part, j) => (j ? ["_", h("wbr"), part] : [part]))),
      value: (r) => r.means[i], cell: (r) => seedCell(small, r.cells[i]) })),
    shared.ok, { ...shared.cpu, tip: `CPU seconds in the entry’s set-up, training and prediction, a seed${several ? ", summed over the tasks" : ""}` }, trialsColumn(section.rows),
    section.rows.some((row) => row.reason) ? shared.remark : null,
  ].filter(Boolean);
  const rows = section.rows.map((row) => ({ ...row, text: [row.entry, ...row.badges, row.reason, row.anchor].join(" ").toLowerCase(),
    means: row.cells.map((cell) => { const good = cell ? cell[0].filter((v) => v !== null) : []; return good.length ? good.reduce((a, b) => a + b, 0) / good.length : null; }) }));
  return ranked(rows, columns, (row) => { location.hash = address("entry", row.entry); }, "the suite’s table");
}
