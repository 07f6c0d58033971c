"use strict";
/* The page that belongs to the address, keys of the keyboard, light and dark mode. */

const KEYS = [["j, ↓", "next row"], ["k, ↑", "previous row"], ["Enter", "open the row"], ["/", "to the filter"], ["Esc", "leave the filter, close"], ["n", "next table of the page"], ["t", "light or dark"], ["?", "these keys"]];

function parts() {
  const words = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  try { return words.map(decodeURIComponent); } catch { return words; }
}

/* Show the page of the address, or the error that prevents it. */
Board.route = async () => {
  const turn = (Board.turn = (Board.turn || 0) + 1), main = document.getElementById("main");
  let [kind, ...rest] = parts();
  if (!kind) [kind, ...rest] = Board.index.papers ? ["papers"] : Board.index.suites.length ? ["suite", Board.index.suites[0].name] : ["claims"];
  if (!Object.hasOwn(Board.pages, kind)) rest = [kind];
  for (const chart of Board.charts.splice(0)) chart.destroy();
  for (const state of Board.tables.splice(0)) state.table.destroy();
  Board.redraws = [];
  Board.queue = [];
  Board.current = null;
  let content;
  try {
    if (!Object.hasOwn(Board.pages, kind)) throw new Error(`this board has no page ${kind}`);
    content = await Board.pages[kind](...rest);
  } catch (error) {
    content = [h("h1", {}, "Not found"), h("p", { class: "bad" }, error.message), h("p", {}, link("to the first page"))];
    if (!(error instanceof Error) || error.name !== "Error") console.error(error);
  }
  if (turn !== Board.turn) return; // the reader has opened another page meanwhile
  main.replaceChildren(...content.flat(Infinity).filter(Boolean));
  document.title = `${[kind, ...rest].join(" ")} · Sweepstakes`;
  for (const one of document.querySelectorAll("#nav a")) {
    const same = one.dataset.kind === kind && (!one.dataset.name || one.dataset.name === rest[0]);
    if (same) one.setAttribute("aria-current", "page"); else one.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
  Board.settle(Board.tables.map((state) => state.built));
};

Board.start = (index) => {
  Board.index = index;
  const to = (text, kind, name) => { const node = link(text, ...(name ? [kind, name] : [kind])); node.dataset.kind = kind; if (name) node.dataset.name = name; return node; };
  document.getElementById("nav").append(
    ...(index.papers ? [to("papers", "papers"), h("span", { class: "sep", "aria-hidden": "true" }, "|")] : []),
    ...index.suites.map((suite) => to(suite.name, "suite", suite.name)), h("span", { class: "sep", "aria-hidden": "true" }, "|"),
    ...[index.claims.length ? to("claims", "claims") : null, index.speedruns ? to("speed-runs", "speedruns") : null, index.figures.length ? to("figures", "figures") : null, to("submit", "submit")].filter(Boolean));
  document.getElementById("keys").append(h("h2", {}, "Keys"), h("dl", { class: "facts" }, KEYS.map(([key, what]) => [h("dt", {}, key), h("dd", {}, what)])), h("form", { method: "dialog" }, h("button", {}, "close")));
  addEventListener("hashchange", Board.route);
  Board.route();
};

/* Switch between light and dark; at first the page follows the system. */
Board.theme = () => {
  const root = document.documentElement, now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* browsers may refuse storage to pages from file:// */ }
  Board.redraws.forEach((draw) => draw());
};
try { const kept = localStorage.getItem("theme"); if (kept) document.documentElement.dataset.theme = kept; } catch { /* as above */ }
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Board.redraws.forEach((draw) => draw()));

const dialog = document.getElementById("keys");
document.getElementById("theme").addEventListener("click", Board.theme);
document.getElementById("help").addEventListener("click", () => dialog.showModal());

let resizing = 0;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => Board.redraws.forEach((draw) => draw()), 150); });

addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, dialog[open]");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing && typing.tagName === "INPUT") { typing.blur(); return; }
  if (typing) return;
  const acts = {
    j: () => Board.move(1), ArrowDown: () => Board.move(1), k: () => Board.move(-1), ArrowUp: () => Board.move(-1),
    "/": () => Board.current && Board.current.search.focus(), "?": () => dialog.showModal(), t: Board.theme,
    n: () => { const at = Board.tables.indexOf(Board.current); Board.current = Board.tables[(at + 1) % Board.tables.length] || null; if (Board.current) { Board.current.at = -1; Board.move(1); } },
    Enter: () => { if (!event.target.closest("a, button, summary")) Board.enter(); },
  };
  if (!Object.hasOwn(acts, event.key)) return;
  if (event.key !== "Enter") event.preventDefault();
  acts[event.key]();
});
