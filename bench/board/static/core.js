"use strict";
/* The namespace: chunks of data, elements that hold text only, numbers, addresses. */

const Board = { chunks: new Map(), waiting: new Map() };

/* Keep the value of a chunk; data/<name>.js calls this. */
Board.put = (name, value) => {
  Board.chunks.set(name, value);
  if (name === "index") Board.start(value);
};

/* Load a script of this folder, once. A page from file:// may not fetch. */
Board.script = (path) => {
  if (!Board.waiting.has(path)) {
    Board.waiting.set(path, new Promise((done, fail) => {
      const script = document.createElement("script");
      script.src = path;
      script.onload = done;
      script.onerror = () => { Board.waiting.delete(path); fail(new Error(`this board has no ${path}`)); };
      document.head.append(script);
    }));
  }
  return Board.waiting.get(path);
};

/* A chunk's value. */
Board.load = (name) => (Board.chunks.has(name) ? Promise.resolve(Board.chunks.get(name)) : Board.script(`data/${name}.js`).then(() => Board.chunks.get(name)));

/* Put off work that is not needed for the first screen: what lies below the tables, or beyond their right edge. */
Board.later = (work) => { if (Board.queue) Board.queue.push(work); else work(); };

/* An element whose content is made later. */
const deferred = (node, make) => { Board.later(() => node.append(...make().flat(Infinity).filter(Boolean))); return node; };

/* Do the work that was put off, once `tables` are built and painted, in slices of 12 ms that keep the page responsive. */
Board.settle = async (tables) => {
  const queue = Board.queue, frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  await Promise.all(tables);
  await frame();
  if (!performance.getEntriesByName("board ready").length) performance.mark("board ready");
  while (queue.length && queue === Board.queue) { // a new page replaces the queue
    const until = performance.now() + 12;
    while (queue.length && performance.now() < until) queue.shift()();
    await frame();
  }
  if (queue === Board.queue) Board.queue = null;
};

/* An element. Strings become text, never HTML; null and false are left out. */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/* An element with HTML in it, for the project's own drawings and documents only. */
Board.own = (tag, attributes, html) => { const node = h(tag, attributes); node.innerHTML = html; return node; };

/* The address of a page, #/kind/a/b, with each part encoded. */
const address = (...parts) => "#/" + parts.join("/").split("/").map(encodeURIComponent).join("/");
const link = (text, ...parts) => h("a", { href: address(...parts) }, text);

/* A comma between thousands; toLocaleString takes a hundred times as long, and a page has thousands of numbers. */
const grouped = (text) => text.replace(/^-?\d{4,}/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

/* `digits` significant digits; exponents only outside 1e-4…1e6; a dash for what is absent. */
function number(x, digits = 3) {
  if (x === null || x === undefined || Number.isNaN(x)) return "—";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const exponent = Math.floor(Math.log10(Math.abs(Number(x.toPrecision(digits)))));
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  const text = exponent < -4 || exponent >= 6
    ? `${mantissa}e${Number(power)}`
    : grouped((x * (1 + 2 ** -51)).toFixed(Math.max(digits - 1 - exponent, 0))); // 0.845 is stored as slightly less, and would round down
  return text.replace(/-/g, "−");
}
/* A whole number in full, any other with `digits` significant digits. */
const count = (x, digits = 4) => (Number.isInteger(x) && Math.abs(x) < 1e15 ? grouped(String(x)) : number(x, digits));
/* Two decimals, so that a column of skills can be compared at a glance. */
const fixed = (x) => (x === null || x === undefined || !(Math.abs(x) < 1000) ? number(x) : x.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "−"));
const fixedRange = (lo, hi) => (lo === null || hi === null ? "" : `[${fixed(lo)}, ${fixed(hi)}]`);
const range = (lo, hi, digits = 3) => (lo === null || hi === null ? "" : `[${number(lo, digits)}, ${number(hi, digits)}]`);
const ranks = (rank, provisional) => (rank ? (rank[0] === rank[1] ? `${rank[0]}` : `${rank[0]}–${rank[1]}`) + (provisional ? "*" : "") : "—");
const plural = (n, word, many = word + "s") => `${grouped(String(n))} ${n === 1 ? word : many}`;
const hours = (seconds) => (seconds === null ? "—" : seconds < 360 ? `${number(seconds)} core-seconds` : `${number(seconds / 3600, 2)} core-hours`);
const day = (text) => (text ? text.slice(0, 10) : "never");
const time = (text) => text.replace("T", " ").replace(/(:\d\d)(\.\d+)?(\+00:00|Z)$/, "$1 UTC");
const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/* A text with its `code` spans as code elements. */
const prose = (text) => (text || "").split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

/* "Liu et al. 2023 (arXiv 2309.14322)" with the number as a link to arXiv. */
function paper(text) {
  const found = /(\d{4}\.\d{4,5})/.exec(text || "");
  if (!found) return text || "";
  const at = found.index;
  const to = h("a", { href: `https://arxiv.org/abs/${found[1]}`, rel: "noreferrer noopener" }, found[1]);
  return [text.slice(0, at), to, text.slice(at + found[1].length)];
}

/* A command line with a button that copies it. */
function command(text) {
  const button = h("button", { type: "button", class: "copy", onclick: () => {
    const done = () => { button.textContent = "copied"; setTimeout(() => { button.textContent = "copy"; }, 1500); };
    navigator.clipboard.writeText(text).then(done, () => { getSelection().selectAllChildren(code); });
  } }, "copy");
  const code = h("code", {}, text);
  return h("div", { class: "command" }, code, button);
}

/* A list of names with their values; absent values are left out. */
const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
  .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

/* A plain table: heads, rows of cells (strings or nodes). */
const plain = (heads, rows, label) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
  h("table", { class: "plain" }, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));

const show = (value) => (value === null || value === undefined ? "absent" : typeof value === "object" ? JSON.stringify(value) : String(value));
const figure = (caption, ...content) => h("figure", {}, content, h("figcaption", {}, caption));
