"""The board in headless Chromium, as a reader has it: opened from a file, without server or network."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.board import site
from bench.board.model import Built
from bench.outcome import plain
from bench.records.standing import Fresh, Replayed
from bench.tables import join, table
from benchmarks.board import CHROMIUM, SHEET, chromium, fake_record, fake_task, planned, synthetic
from tests.rows import tuning, verification

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH")

SHOTS = Path(__file__).parent / "artefacts"
NASTY = 'evil"><img src=x onerror="window.hurt=1">/+'
FAILED = "Traceback: <script>window.hurt=1</script>"
WAIT = 60_000  # ms; a busy machine is slow, not wrong


def content() -> site.Content:
    """60 × 3 made up, and a task with an entry whose name and traceback are hostile, a claim, a speed-run."""
    found = synthetic(60, 3)
    draw = random.Random(1)
    rows = []
    for name, mean in (("floor", 1.0), ("reference", 0.01), (NASTY, 0.2)):
        cells: dict[int, Any] = {
            s: [fake_record("fake/lone", name, s, mean * draw.uniform(0.9, 1.1))] for s in range(3)
        }
        rows.append(planned(name, cells, slots=("model",)))
    failed = rows[2].cells[1][0]
    failed.status, failed.metrics, failed.traceback, failed.reason = "failed", {}, FAILED, "it broke"
    task = fake_task("fake/lone")
    tuned = {row.entry: tuning(row.entry, [0.5, 0.25, 0.125], 0.14) for row in rows[1:]}
    lone = Built(task.name, table.build(task, rows, suite="fake"), task, rows, SHEET, tuned)
    keys = list(next(row for row in found.suites[0][2][0].table.rows if row.entry == "entry_001").keys)
    mark = verification(
        "disputed", "2026-01-02T00:00:00+00:00", keys, entry="entry_001", reason="better than fresh seeds", p=0.001,
        fresh=Fresh(mean=0.2, values=[0.2], seeds=[9]), replayed=Replayed(key="x", seed=0, equal=True, difference=0.0),
    )  # fmt: skip
    setting = {
        "name": "small", "verdict": "reproduced", "measured": 1.5, "interval": [1.2, 1.8], "n": 3, "missing": 0, "older": 0,
        "values": {"0": 1.5, "1": 1.4}, "error": "", "keys": ["a"], "plan": [], "qualifier": "narrowly",
    }  # fmt: skip
    again = {
        "new": "task.p", "verdict": "not tested", "measured": None, "interval": None, "n": 0, "predicate": {"above": 2.0},
        "threshold": "before", "qualifier": "", "settings": [
            {**setting, "verdict": "not tested", "measured": None, "interval": None, "n": 0, "missing": 6, "values": {},
             "keys": [], "name": "another width", "qualifier": ""},
        ],
    }  # fmt: skip
    claim = {
        "id": "fake/claim", "paper": "2001.00001", "citation": "Nobody", "statement": "It <b>grows</b>.", "note": "",
        "verdict": "reproduced", "measured": 1.5, "interval": [1.2, 1.8], "n": 3, "unit": "ratio", "predicate": {"above": 1.0},
        "scale": "linear", "exact": False, "threshold": "before", "tried": {"settings": 1, "seeds": 3}, "cpu_seconds": 3.0,
        "settings": [setting], "kind": "reading", "qualifier": "narrowly", "confirmation": "not yet run", "confirmatory": again,
    }  # fmt: skip
    paper = {
        "arxiv": "2001.00001", "title": "A fake paper", "authors": "Nobody 2020", "families": ["fake"], "claims": 1,
        "measured": 1, "exploratory": {"reproduced": 1}, "confirmatory": {"not yet run": 1},
        "finding": "It <b>grows</b> here too.", "rests_on": claim,
    }  # fmt: skip
    fastest = {"entry": "reference", "steps": 50.0, "cpu": None, "date": "2026-01-02", "keys": ["abc"], "how": "published",
               "p": None, "against": ""}  # fmt: skip
    speedrun = {"task": "fake/lone", "version": 1, "preset": "small", "metric": "steps", "unit": "steps", "budget": 100,
                "by": "steps", "rows": [{**fastest, "steps": 80.0, "date": "2026-01-01"}, fastest]}  # fmt: skip
    drawing = {"id": "fake/f", "title": "A figure", "svg": "<svg viewBox='0 0 9 9'><circle r='4'/></svg>"}
    name, doc, tables = found.suites[0]
    rows[2].cells[2][0].output = "epoch 1: <b>fine</b>"
    badged = join._badged(tables[0].table, {("fake/task_00", "small", "entry_001"): mark})
    entries = found.entries | {"entry_001": found.entries["entry_001"] | {"verified": [plain(mark)]}}
    first = replace(tables[0], table=badged)
    return site.Content(
        [(name, doc, [first, *tables[1:], lone])], found.curves, entries, found.baselines, {"fake": [drawing]},
        claims=[claim], papers=[paper], submit="<h1>How to submit</h1>", speedruns=[speedrun],
    )  # fmt: skip


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site.write(content(), tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as play:
        one = play.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        yield one
        one.close()


class Reader:
    """A page with everything it complained of and asked for."""

    def __init__(self, browser: Any, board: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        self.context.set_default_timeout(WAIT)
        self.board, self.errors, self.asked = board, [], []
        self.page = self.context.new_page()
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.route("**/*", self._route)

    def _route(self, route: Any) -> None:
        url = route.request.url
        self.asked.append(url)
        if url.startswith(("file:", "data:")):
            route.continue_()
        else:
            route.abort()

    def open(self, address: str = "suite/fake", wait: str = "main h1") -> Any:
        self.page.goto(f"{self.board.resolve().as_uri()}#/{address}")
        self.page.wait_for_selector(wait)
        return self.page

    def names(self) -> list[str]:
        """The entries that stand in the page's first table, from the top."""
        return self.page.locator(".tabulator-table").first.locator(".tabulator-row .entry a").all_inner_texts()

    def shot(self, name: str, full: bool = False) -> None:
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=full)

    def check(self) -> None:
        """Nothing was complained of, and nothing was asked for outside the folder."""
        assert self.errors == []
        folder = self.board.parent.resolve().as_uri()
        assert self.asked and all(url.startswith((folder, "data:")) for url in self.asked)
        assert self.page.evaluate("window.hurt") is None
        shown = self.page.inner_text("main")
        assert "undefined" not in shown and "NaN" not in shown


@pytest.fixture
def reader(browser: Any, board: Path) -> Iterator[Reader]:
    one = Reader(browser, board)
    yield one
    one.check()
    one.context.close()


def until(page: Any, holds: str) -> None:
    """Wait for the expression; the page's policy forbids the polling that Playwright would put into it."""
    for _ in range(WAIT // 50):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {holds}")


ROWS = "Board.current.table.getRows('active').map((row) => row.getData())"
READY = ".tableholder[data-ready] .tabulator-row"


def test_the_first_screen_says_where_and_how_well(reader):
    page = reader.open(wait=READY)
    text = page.inner_text("main")
    for word in (
        "suite fake",
        "slot optimizer",
        "closed division",
        "last published 2026-01-02",
        "core-hours",
        "failed cells included",
    ):
        assert word in text
    assert "inseparable at the top" in text or "leads alone" in text
    rows = page.locator(".tabulator-row")
    assert rows.first.get_attribute("class").count("leader") == 1
    assert rows.first.locator("svg.glyph").count() >= 4  # skill, and a cell for each of three tasks
    assert rows.first.locator("svg.glyph").first.get_attribute("aria-label").startswith("skill")
    assert page.locator(".tabulator-row path.cross").count() > 0 and "disputed" in page.inner_text(".tabulator-table")
    reader.shot("suite")


def test_rows_below_the_line_stay_below_it_however_one_sorts(reader):
    page = reader.open(wait=READY)
    for column in ("ok", "CPU s", "entry"):
        for _ in range(2):
            page.locator(".tabulator-col", has_text=column).first.click()
            ranked = page.evaluate(f"{ROWS}.map((row) => Boolean(row.rank))")
            assert ranked == sorted(ranked, reverse=True) and False in ranked
    names = page.evaluate(
        "Board.current.table.getRows('active').map((row) => row.getData()).filter((row) => row.rank).map((row) => row.entry)"
    )
    assert names == sorted(names, reverse=True)
    assert page.locator(".tabulator-col[aria-sort=descending]").count() == 1


def test_the_filter_row_narrows_the_table(reader):
    page = reader.open(wait=READY)
    page.keyboard.press("/")
    page.keyboard.type("entry_01")
    until(page, "Board.current.table.getDataCount('active') === 10")
    assert all(name.startswith("entry_01") for name in reader.names())
    assert "10 of 60 rows" in page.inner_text(".filters")
    page.fill(".filter", "disputed")
    until(page, "Board.current.table.getDataCount('active') === 1")
    page.fill(".filter", "")
    page.select_option(".filters select", "unranked")
    until(page, "Board.current.table.getRows('active').every((row) => !row.getData().rank)")


def test_keys_walk_the_rows_and_open_one(reader):
    page = reader.open(wait=READY)
    for key in ("j", "ArrowDown", "k"):
        page.keyboard.press(key)
    assert page.locator(".tabulator-row.cursor").count() == 1
    name = page.locator(".tabulator-row.cursor .entry a").inner_text()
    assert name == reader.names()[0]
    page.keyboard.press("Enter")
    until(page, "location.hash.startsWith('#/entry/')")
    page.wait_for_selector("h1 >> text=" + name)
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")


def test_virtual_rows_keep_a_long_table_light(reader):
    page = reader.open(wait=READY)
    assert page.evaluate("Board.current.table.getDataCount()") == 60
    assert page.locator(".tabulator-row").count() < 60


def test_cells_beyond_the_right_edge_follow_the_first_frame(browser, board):
    small = Reader(browser, board, viewport={"width": 700, "height": 900})
    page = small.open(wait=READY)
    until(page, "Board.queue === null")
    rows = page.locator(".tabulator-row").count()
    assert rows > 10 and page.locator(".tabulator-row .small svg").count() == 3 * rows
    assert page.locator(".tabulator-row .num:empty").count() == 0
    small.check()
    small.context.close()


def test_a_page_without_curves_does_without_their_library(reader):
    page = reader.open("claims", READY)
    until(page, "Board.queue === null")
    assert page.evaluate("typeof uPlot") == "undefined" and not any("uPlot.iife" in url for url in reader.asked)


def test_a_claim_has_a_column_for_each_run_and_tells_its_kind(reader):
    page = reader.open("claims", READY)
    row = page.locator(".tabulator-row").first
    assert row.locator(".verdict.reproduced").inner_text().strip() == "✓ reproduced, narrowly"
    assert row.locator(".verdict.not-yet-run").inner_text().strip() == "· not yet run"
    assert page.locator(".tabulator-row", has_text="reading").count() == 1
    page = reader.open("claims/fake/claim", "h2")
    text = page.locator("main").inner_text() if page.locator("main").count() else page.inner_text("body")
    for words in ("kind: reading, our reading of the paper", "Exploratory run", "Confirmatory run", "another width",
                  "never run before: another task.p", "wanted above 2", "6 cells missing"):  # fmt: skip
        assert words in text, words


def drawn(page: Any) -> int:
    """Pixels of the first chart's canvas that are not blank."""
    page.wait_for_selector(".plot canvas")
    return page.evaluate(
        """() => {
            const c = document.querySelector('.plot canvas');
            const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            return pixels.filter((v, i) => i % 4 === 3 && v > 0).length;
        }"""
    )


def test_a_tasks_page_draws_its_curves(reader):
    page = reader.open("task/fake/task_00", ".plot canvas")
    lines = drawn(page)
    assert lines > 2000
    pressed = page.locator(".wide .legend button[aria-pressed=true]")
    while pressed.count():
        pressed.first.click()
    page.wait_for_selector("text=no line is chosen")
    page.locator(".wide .legend button").first.click()
    assert 500 < drawn(page) < lines
    page.get_by_label("log steps").first.click()
    assert drawn(page) > 500
    assert page.locator("svg.chart a circle").count() > 10 and page.locator("svg.chart .front").count() == 1
    assert page.locator("table.wins").count() == 1 and "Made up." in page.inner_text(".sheet")
    assert "A figure" in page.inner_text("main")
    reader.shot("task", full=True)


def test_a_record_says_everything_and_stays_text(reader):
    page = reader.open("task/fake/lone", READY)
    assert NASTY in reader.names()
    page.locator(".entry a", has_text="evil").first.click()
    page.wait_for_selector("h1 >> text=evil")
    reader.shot("entry", full=True)
    keys = page.locator(".keys a").all()
    for link in (keys[2].get_attribute("href"),):
        page.goto(f"{reader.board.resolve().as_uri()}{link}")
    page.wait_for_selector("h1 >> text=Record")
    text = page.inner_text("main")
    assert FAILED in text and "it broke" in text and shlex.quote(f"entry={NASTY}") in text and "torch 2.0" in text
    assert page.locator("main img, main script").count() == 0
    reader.shot("record", full=True)


def test_a_log_is_shown_and_stays_text(reader):
    page = reader.open("task/fake/lone", READY)
    page.goto(page.locator(".entry a", has_text="evil").first.evaluate("(node) => node.href"))
    page.wait_for_selector("h1 >> text=evil")
    page.goto(page.locator(".keys a").nth(3).evaluate("(node) => node.href"))
    page.wait_for_selector("h1 >> text=Record")
    assert "epoch 1: <b>fine</b>" in page.inner_text("main")


def test_a_task_compares_any_two_entries_on_the_same_seeds(reader):
    page = reader.open("task/fake/lone", ".versus")
    said = page.locator(".versus p")
    first = said.inner_text()
    assert first.startswith("error, reference / ")
    page.get_by_label("the one entry").select_option("floor")
    page.get_by_label("the other entry").select_option("reference")
    assert said.inner_text().startswith("error, floor / reference: ") and "floor wins 0 %" in said.inner_text()
    assert "separates them" in said.inner_text()
    page.locator(".wins td.win").first.click()
    assert said.inner_text() == first


def test_a_task_tells_the_score_at_equal_trials_and_sensitivity(reader):
    page = reader.open("task/fake/lone", READY)
    until(page, "Board.queue === null")
    assert page.locator(".tabulator-col", has_text="best of 3").count() == 1
    row = page.locator(".tabulator-row", has_text="reference").first.inner_text()
    assert "0.125" in row and "14 %" in row


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_columns_tooltip_can_be_read(browser, board, scheme):
    one = Reader(browser, board, color_scheme=scheme)
    page = one.open("task/fake/task_00", READY)
    page.locator(".tabulator-col", has_text="CPU s").first.hover()
    page.wait_for_selector(".tabulator-tooltip >> text=CPU seconds")
    told = "(node) => { const style = getComputedStyle(node); return [style.backgroundColor, style.color]; }"
    ground, text = page.locator(".tabulator-tooltip").evaluate(told)
    shades = [sum(map(int, colour[4:-1].split(","))) for colour in (ground, text)]
    assert (shades[0] < shades[1]) == (scheme == "dark") and abs(shades[0] - shades[1]) > 300
    one.check()
    one.context.close()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "1 of 1 papers measured"), ("papers", "It <b>grows</b> here too."), ("papers/2001.00001", "It rests on fake/claim."),
        ("papers/2001.00002", "no paper 2001.00002"), ("suite/fake/closed-optimizer", "Suite fake"),
        ("suite/fake/fake/lone-closed", "lone"), ("entry/entry_001", "disputed"),
        ("claims", "fake/claim"), ("claims/fake/claim", "It <b>grows</b>."), ("submit", "How to submit"),
        ("speedruns", "2026-01-02"), ("figures/fake", "A figure"), ("task/fake/none", "no table of a task fake/none"),
        ("constructor", "no page constructor"), ("record/zzz", "no data/records"),
    ],
)  # fmt: skip
def test_deep_links(reader, address, says):
    page = reader.open(address)
    assert says in page.inner_text("main")
    if address == "record/zzz":  # the browser itself says that the file is not there
        assert all("ERR_FILE_NOT_FOUND" in error for error in reader.errors)
        reader.errors.clear()


def test_a_record_opens_from_the_first_characters_of_its_key(reader, board):
    stored = json.loads((board.parent / "data" / "table-0.js").read_text().split(",", 1)[1].rstrip()[:-1])
    key = stored["rows"][0][-1][: stored["shown"]]
    page = reader.open(f"record/{key[:10]}", "h1 >> text=Record")
    assert key in page.inner_text("h1")


def ink(page: Any) -> tuple[str, str]:
    return tuple(
        page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    )


def test_dark_follows_the_system_and_the_button(browser, board):
    light, dark = (Reader(browser, board, color_scheme=scheme) for scheme in ("light", "dark"))
    pages = [one.open(wait=READY) for one in (light, dark)]
    colours = [ink(page) for page in pages]
    assert colours[0] != colours[1]
    pages[0].keyboard.press("t")
    assert ink(pages[0]) == colours[1]
    pages[1].click("#theme")
    assert ink(pages[1]) == colours[0]
    pages[1].click("#theme")
    dark.shot("dark")
    for one in (light, dark):
        one.check()
        one.context.close()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "papers/2001.00001",
        "suite/fake",
        "task/fake/task_00",
        "entry/entry_001",
        "claims",
        "claims/fake/claim",
        "speedruns",
    ],
)
def test_a_phone_scrolls_down_only(browser, board, address):
    phone = Reader(
        browser, board, viewport={"width": 375, "height": 780}, device_scale_factor=2, is_mobile=True, has_touch=True
    )
    page = phone.open(address)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    phone.shot("phone-" + (address.replace("/", "-") or "papers"))
    phone.check()
    phone.context.close()
