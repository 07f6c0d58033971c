"use strict";
/* The first page: the papers whose problems run here, and what was found; a page for each of them; the suites. */

const ORDER = ["reproduced", "confirmed", "mixed", "inconclusive", "not reproduced", "error", "not tested", "not yet run", "none planned"];

/* The verdicts of a paper's claims, each with its number: "9 ✓ 2 ? 1 ✗". */
const tallied = (counts) => h("span", { class: "tally" }, ORDER.filter((word) => counts[word]).map((word) => h("span", { title: `${counts[word]} ${word}: ${MEANINGS[word]}`, class: `verdict ${word.replace(/ /g, "-")}` }, `${counts[word]} ${VERDICTS[word]}`)).flatMap((pill) => [pill, " "]));

Board.pages.papers = async (id) => {
  const papers = await Board.load("papers");
  if (id) return paperPage(papers, id);
  const covered = papers.filter((row) => row.measured).length, claims = papers.reduce((sum, row) => sum + row.claims, 0);
  return [
    h("h1", {}, "Sweepstakes", h("span", { class: "sub" }, "a benchmark of learning dynamics: every number comes from records that anyone can make again")),
    factLine([h("strong", {}, `${covered} of ${papers.length} papers measured`), `${plural(claims, "claim")} on them`, plural(Board.index.tables.length, "table"), plural(Board.index.entries.length, "entry", "entries")]),
    h("p", { class: "quiet" }, ...["reproduced", "mixed", "inconclusive", "not reproduced"].flatMap((word) => [verdict(word), ` ${MEANINGS[word]}. `])),
    plain(["paper, and what was found", "claims, first run", "second run"], papers.map((row) => [
      [link(row.title, "papers", row.arxiv), " ", h("span", { class: "quiet" }, row.authors), h("br"), prose(row.finding)], tallied(row.exploratory), tallied(row.confirmatory)]), "papers"),
    h("h2", {}, "Suites of tasks"),
    h("ul", {}, Board.index.suites.map((suite) => h("li", {}, link(suite.name, "suite", suite.name), ": ", prose(suite.doc), ` (${plural(suite.tables.length, "table")})`))),
    h("p", {}, "An entry of your own is one file: ", link("how to submit", "submit"), "."),
  ];
};

async function paperPage(papers, id) {
  const row = papers.find((listed) => listed.arxiv === id);
  if (!row) throw new Error(`no paper ${id} on this board`);
  const claims = (await Board.load("claims")).filter((claim) => claim.paper === id);
  const figures = row.families.filter((family) => Board.index.figures.includes(family));
  const value = (run) => (run && run.measured !== null ? `${number(run.measured)} ${bounds(run)}` : "");
  return [
    h("h1", {}, row.title),
    factLine([h("span", {}, `${row.authors}, arXiv `, paper(row.arxiv)), h("span", {}, "first run ", tallied(row.exploratory)), h("span", {}, "second run ", tallied(row.confirmatory))]),
    h("p", { class: "sentence" }, prose(row.finding), h("span", { class: "quiet" }, " It rests on ", link(row.rests_on.id, "claims", row.rests_on.id), ".")),
    plain(["claim", "first run", "measured [95 %]", "second run", "measured [95 %]", "unit"], claims.map((claim) => [
      [link(claim.id, "claims", claim.id), h("br"), prose(claim.statement)], verdict(claim.verdict, claim.qualifier), value(claim), verdict(claim.confirmation, claim.confirmatory && claim.confirmatory.qualifier), value(claim.confirmatory), claim.unit]), "claims of the paper"),
    figures.length ? h("p", {}, "Figures: ", figures.map((family) => [link(family, "figures", family), " "])) : null,
  ];
}
