"""The typed models of configuration files. A field's description and example appear in errors and in the JSON schema."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from bench.contract import Datasheet, Text
from bench.planning.yaml_files import shown

CELLS = ("task", "entry", "seed", "preset", "tuned")  # the keys of words that choose a plan's cells


def _is(what: str, *examples: Any, **limits: Any) -> Meta:
    return Meta(description=what, examples=[*examples], **limits)


Positive = Annotated[int, Meta(ge=1)]
Words = Annotated[tuple[str, ...], Meta(min_length=1)]
WORDS = ["task=pde/burgers_1d", "entry=fno,unet", "seed=range(5)"]
PAIRS = [{"task": "pde/burgers_1d", "entries": ["fno"]}]
TARGET = "a dotted path, or {_target_: path, argument: value}"
Reference = str | dict[str, Any]  # of a function, as TARGET says
Function = Annotated[Reference, _is(TARGET, "tasks.grokking.claims.decay_gain")]


class Values(Struct, frozen=True, forbid_unknown_fields=True):
    """A search space of listed values."""

    values: Annotated[tuple[Any, ...], Meta(min_length=1)]


Search = Annotated[
    dict[str, tuple[float, float] | Values],
    _is("a mapping of arguments to two bounds, or to {values: list}",
        {"optimizer.lr": [0.0001, 0.03], "optimizer.name": {"values": ["adam", "lion"]}}),
]  # fmt: skip


class EntryFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/entry/<name>.yaml`. slots: all other fields of the file, each a mapping of a part's arguments."""

    FREE: ClassVar[str] = "slots"

    doc: Annotated[str, _is("a text", "steps by the sign of the momentum")] = ""
    paper: Annotated[str, _is("a text", "Chen et al. 2023 (arXiv 2302.06675)")] = ""
    search: Search = {}
    needs: Annotated[tuple[str, ...], _is("a list of packages, or cuda", ["einops", "cuda"])] = ()
    authors: Annotated[tuple[str, ...], _is("a list of names", ["Ada Lovelace"])] = ()
    licence: Annotated[str, _is("an SPDX identifier", "Apache-2.0")] = ""
    declared_trials: Annotated[int, _is("a whole number from 0 up: trials made elsewhere", 20, ge=0)] | None = None
    slots: dict[str, dict[str, Any]] = {}


class TaskFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/task/<family>/<name>.yaml`. parameters: all other fields of the file, each a parameter of the task."""

    FREE: ClassVar[str] = "parameters"

    target: Annotated[
        str, _is("the dotted path of the Task class", "tasks.grokking.modular_addition.ModularAddition", pattern=r"\.")
    ] = msgspec.field(name="_target_")
    doc: Annotated[Text, _is("a line about the task", "Addition modulo a prime.")]
    datasheet: Annotated[Datasheet, _is(f"a mapping of the texts {', '.join(Datasheet.__struct_fields__)}")]
    parameters: dict[str, Any] = {}


class VerbFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`configs/verb/<name>.yaml`: a verb of the command line that a family of tasks or a package adds."""

    target: Annotated[
        str, _is("the dotted path of a function that adds a parser to argparse's", "my_tasks.verbs.add_parser")
    ] = msgspec.field(name="_target_")


class Pair(Struct, frozen=True, forbid_unknown_fields=True):
    """A task of a suite with its entries. params, seeds: given where they differ from the suite's."""

    task: str
    entries: Words
    params: dict[str, Any] = {}
    seeds: Positive | None = None


class SuiteFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`configs/suite/<name>.yaml`."""

    seeds: Annotated[Positive, _is("the number of seeds", 5)]
    pairs: Annotated[tuple[Pair, ...], _is("a list of tasks with their entries", PAIRS, min_length=1)]
    doc: Annotated[str, _is("a text", "what `make bench` runs")] = ""
    preset: Annotated[str, _is("a preset's name", "small")] = "small"

    @property
    def tasks(self) -> set[str]:
        """Names of the tasks of all pairs."""
        return {pair.task for pair in self.pairs}


def _check_cells(plan: tuple[str, ...]) -> None:
    for word in plan:
        if word.split("=")[0].split(".")[0] not in CELLS:
            raise ValueError(f"{word!r} chooses no cells; a plan has {', '.join(CELLS)}")


class Setting(Struct, frozen=True, forbid_unknown_fields=True):
    """One setting at which a claim is measured. plan: words of a sweep, such as `task=…`, `entry=a,b`, `seed=range(5)`."""

    name: Text
    plan: Words

    def __post_init__(self) -> None:
        _check_cells(self.plan)


class Tried(Struct, frozen=True, forbid_unknown_fields=True):
    """The number of settings that were tried for a claim, the declared ones included, and the seeds they were tried on."""

    settings: Positive
    seeds: str | int


Limit = Annotated[float, _is("a finite number", 0.5)]
ARXIV = r"\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7}"  # the number of a paper
Settings = Annotated[
    tuple[Setting, ...], _is("a list of names with plans", [{"name": "one", "plan": WORDS}], min_length=1)
]


class Bounded(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings with the one bound that their measure is held against: `above`, `below` or `between`."""

    settings: Settings
    above: Limit | None = None
    below: Limit | None = None
    between: Annotated[tuple[float, float], _is("[low, high]", [0.5, 2.0])] | None = None

    @property
    def limits(self) -> dict[str, Any]:
        """The one of above, below and between that is given, with its limit or limits."""
        return {name: limit for name in ("above", "below", "between") if (limit := getattr(self, name)) is not None}

    def __post_init__(self) -> None:
        if len(self.limits) != 1:
            raise ValueError(f"one of above, below, between is needed, not {' and '.join(self.limits) or 'none'}")
        ((name, limit),) = self.limits.items()
        low, high = limit if name == "between" else (limit, limit)
        if not -math.inf < low <= high < math.inf:
            wanted = "[low, high]" if name == "between" else "a finite number"
            raise ValueError(f"`{name}: {shown(msgspec.to_builtins(limit))}`: expected {wanted}")
        names = [setting.name for setting in self.settings]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two settings are named {twice!r}")


class Confirmatory(Bounded, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The second run of a claim, committed before it is made, with its own bound.

    new: the key of the words that give each of its settings a value that no setting of the first run has, as `task.p`.
    """

    new: Text


class ClaimFile(Bounded, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/claim/<family>/<id>.yaml`.

    kind: the paper states it; it follows from a theorem or formula of the paper; it is our reading of the paper, with a number
    or a comparison that the paper does not give; or it checks our own or others' code or data.
    """

    paper: Text
    arxiv: Annotated[str, _is('a number in quotes, or ""', "1705.08741", pattern=f"^({ARXIV})?$")]
    statement: Text
    kind: Annotated[
        Literal["paper", "consequence", "reading", "check"],
        _is("`paper`, `consequence`, `reading` or `check`", "paper"),
    ]
    measure: Function
    unit: Text
    threshold: Annotated[
        Literal["before", "after"], _is("`before` or `after`: fixed before or after data were seen", "before")
    ]
    tried: Annotated[Tried, _is("the settings tried and their seeds", {"settings": 3, "seeds": "0-4"})]
    scale: Annotated[Literal["linear", "log"], _is("`linear` or `log`", "log")] = "linear"
    exact: Annotated[bool, _is("`true` or `false`", True)] = False
    step: Annotated[float, _is("the step of the grid that the measure is read off", 0.5, ge=0)] = 0.0
    note: Annotated[str, _is("a text", "The paper's network is wider.")] = ""
    confirmatory: (
        Annotated[
            Confirmatory,
            _is("settings with fresh seeds, a bound, and the key `new` of what was never run",
                {"new": "task.nu", "settings": [{"name": "one", "plan": [*WORDS, "task.nu=0.02"]}], "below": 1}),
        ]
        | None
    ) = None  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if second := self.confirmatory:
            seen = {word for setting in self.settings for word in setting.plan}
            for setting in second.settings:
                if not any(word.startswith(f"{second.new}=") and word not in seen for word in setting.plan):
                    reason = f"setting {setting.name!r} gives {second.new} no value that the first run did not have"
                    raise ValueError(f"`confirmatory`: {reason}")


Labelled = Annotated[dict[str, Words], Meta(min_length=1)]
Scale = Annotated[Literal["linear", "log"], _is("one of linear, log", "log")]


class FigureFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/figure/<family>/<id>.yaml` (docs/figures.md)."""

    title: Text
    caption: Text
    plan: Annotated[Words | Labelled, _is("a list of words, or a mapping of labels to such lists", WORDS)]
    x: Text
    y: Annotated[
        Text | Words | dict[str, Any], _is("a name, a list of names, or a measure", ["train_acc", "monitor_acc"])
    ]
    series: Annotated[str | Words, _is("`entry`, `plan`, a path in the record, or a list of these", "plan")] = "entry"
    x_label: Text | None = None
    y_label: Text | None = None
    theory: Annotated[
        Reference | tuple[Reference, ...], _is("a dotted path of a function of x, or a list of such", "math.sqrt")
    ] = ()
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    centre: Annotated[Literal["median", "mean"], _is("one of median, mean", "mean")] = "median"
    band: Annotated[Literal["range", "interval", "none"], _is("one of range, interval, none", "none")] = "range"
    draw: Annotated[Literal["line", "points"], _is("one of line, points", "points")] = "line"

    @property
    def plans(self) -> dict[str, tuple[str, ...]]:
        """label -> words; a single plan has an empty label."""
        return dict(self.plan) if isinstance(self.plan, dict) else {"": self.plan}

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of curves, metrics and paths on the y axis; none if a measure is."""
        return () if isinstance(self.y, dict) else (self.y,) if isinstance(self.y, str) else self.y

    @property
    def lines(self) -> tuple[str, ...]:
        """The fields by which records are split into lines."""
        return (self.series,) if isinstance(self.series, str) else self.series

    def __post_init__(self) -> None:
        for words in self.plans.values():
            _check_cells(words)
        if isinstance(self.y, dict) and self.y_label is None:
            raise ValueError("`y_label`: a measure has no name; give one, with its unit")
        if isinstance(self.y, dict) and self.x == "step":
            raise ValueError("`x: step`; a measure is one number a record; name a field of the record for x")
        if self.draw == "points" and self.x == "step":
            raise ValueError("`draw: points`; curves are lines")
        if "plan" in self.lines and "" in self.plans:
            raise ValueError("`series: plan`; then `plan` is a mapping of labels to words, which name the lines")


class PaperFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/paper/<arXiv number>.yaml`. claim: the one that `finding` rests on, a claim that names the paper."""

    title: Text
    authors: Annotated[Text, _is("authors and year", "Saxe, McClelland and Ganguli 2013")]
    families: Annotated[Words, _is("the families of tasks that hold its problems", ["deep_linear"])]
    finding: Annotated[Text, _is("the sentence that best says what was measured here", "Depth costs a finite delay.")]
    claim: Annotated[Text, _is("the name of a claim", "deep_linear/saxe_finite_delay")]


class TunedFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/tuned/<family>/<task>/<entry>.yaml`, written by `bench tune` alone. table: a row a trial."""

    preset: str
    trials: Positive
    seeds: tuple[int, ...]
    space: Literal["lattice", "random", "given"] = "lattice"
    objective: str
    value: float | Literal["diverged"]
    values: dict[str, Any]
    at_the_edge: tuple[str, ...]
    table: tuple[dict[str, Any], ...]

    def __post_init__(self) -> None:
        if self.trials != len(self.table):
            raise ValueError(f"{self.trials} trials and a table of {len(self.table)}")
        if any("objective" not in row for row in self.table):
            raise ValueError("a row of the table lacks its `objective`")


class ManifestRow(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of a submission. trials: of its tuning, None if untuned. entry_digest: of all that the row depends on."""

    task: str
    version: int
    preset: str
    params: dict[str, Any]
    seeds: tuple[int, ...]
    trials: int | None = None
    entry_digest: str = ""


class ManifestFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`submissions/NAME/manifest.json`, written by `bench submit`. files: path in the folder -> digest."""

    format: Literal[1]
    entry: str
    files: dict[str, str]
    digest: str
    rows: Annotated[tuple[ManifestRow, ...], _is("a list of at least one row", min_length=1)]
    doc: str = ""
    authors: tuple[str, ...] = ()
    licence: str = ""
    paper: str = ""
    declared_trials: int | None = None
    suite: str | None = None
    records: int = 0
    cpu_seconds: float = 0.0
    notes: tuple[str, ...] = ()
    environment: dict[str, Any] = {}
    commit: str | None = None
    command: str = ""


MODELS: dict[str, type[Struct]] = {
    "entry": EntryFile, "task": TaskFile, "suite": SuiteFile, "claim": ClaimFile, "figure": FigureFile, "paper": PaperFile,
    "tuned": TunedFile, "manifest": ManifestFile,
}  # fmt: skip
