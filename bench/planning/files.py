"""What may stand in a configuration file: a typed model for every kind.

A field says what it is in words and by an example: both go into the error of a wrong value (`bench.planning.typed`) and into
the JSON schema.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from bench.contract import Datasheet, Text
from bench.planning.yaml_file import shown

Positive = Annotated[int, Meta(ge=1)]

CELLS = ("task", "entry", "seed", "preset", "tuned")  # the words that say which cells a plan has

Words = Annotated[tuple[str, ...], Meta(min_length=1)]
Plan = Annotated[
    Words,
    Meta(
        description="a list of words that say which cells it has",
        examples=[["task=pde/burgers_1d", "entry=fno,unet", "seed=range(5)"]],
    ),
]


def _cells(plan: tuple[str, ...]) -> None:
    for word in plan:
        if word.split("=")[0].split(".")[0] not in CELLS:
            raise ValueError(f"{word!r} says nothing of cells; a plan has {', '.join(CELLS)}")


class Values(Struct, frozen=True, forbid_unknown_fields=True):
    """A search over listed values."""

    values: Annotated[tuple[Any, ...], Meta(min_length=1)]


Search = Annotated[
    dict[str, tuple[float, float] | Values],
    Meta(
        description="a mapping of arguments to two bounds, or to {values: list}",
        examples=[{"optimizer.lr": [0.0001, 0.03], "optimizer.name": {"values": ["adam", "lion"]}}],
    ),
]


class EntryFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/entry/<name>.yaml`. slots: every other field of the file, a mapping of a part's arguments each."""

    FREE: ClassVar[str] = "slots"

    doc: Annotated[str, Meta(description="a text", examples=["steps by the sign of the momentum"])] = ""
    paper: Annotated[str, Meta(description="a text", examples=["Chen et al. 2023 (arXiv 2302.06675)"])] = ""
    search: Search = {}
    needs: Annotated[
        tuple[str, ...], Meta(description="a list of packages, or cuda", examples=[["einops", "cuda"]])
    ] = ()
    authors: Annotated[tuple[str, ...], Meta(description="a list of names", examples=[["Ada Lovelace"]])] = ()
    licence: Annotated[str, Meta(description="an SPDX identifier", examples=["Apache-2.0"])] = ""
    declared_trials: (
        Annotated[int, Meta(ge=0, description="a whole number from 0 up: trials made elsewhere", examples=[20])] | None
    ) = None
    slots: dict[str, dict[str, Any]] = {}


class TaskFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/task/<family>/<name>.yaml`. parameters: every other field of the file, a parameter of the task each."""

    FREE: ClassVar[str] = "parameters"

    target: Annotated[
        str,
        Meta(
            pattern=r"\.",
            description="the dotted path of the Task class",
            examples=["tasks.grokking.modular_addition.ModularAddition"],
        ),
    ] = msgspec.field(name="_target_")
    doc: Annotated[Text, Meta(description="a line about the task", examples=["Addition modulo a prime."])]
    datasheet: Annotated[
        Datasheet, Meta(description=f"a mapping of the texts {', '.join(Datasheet.__struct_fields__)}")
    ]
    parameters: dict[str, Any] = {}


class Pair(Struct, frozen=True, forbid_unknown_fields=True):
    """A task of a suite with its entries; params and seeds are its own where they differ from the suite's."""

    task: str
    entries: Words
    params: dict[str, Any] = {}
    seeds: Positive | None = None


class SuiteFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`configs/suite/<name>.yaml`."""

    seeds: Annotated[Positive, Meta(description="the number of seeds", examples=[5])]
    pairs: Annotated[
        tuple[Pair, ...],
        Meta(
            min_length=1,
            description="a list of tasks with their entries",
            examples=[[{"task": "pde/burgers_1d", "entries": ["fno", "unet"]}]],
        ),
    ]
    doc: Annotated[str, Meta(description="a text", examples=["what `make bench` runs"])] = ""
    preset: Annotated[str, Meta(description="a preset's name", examples=["small"])] = "small"

    @property
    def tasks(self) -> set[str]:
        """Of all pairs."""
        return {pair.task for pair in self.pairs}


class Setting(Struct, frozen=True, forbid_unknown_fields=True):
    """One place where a claim is measured; plan: words of a sweep, such as `task=…`, `entry=a,b`, `seed=range(5)`."""

    name: Text
    plan: Plan

    def __post_init__(self) -> None:
        _cells(self.plan)


class Tried(Struct, frozen=True, forbid_unknown_fields=True):
    """How many settings a claim was measured at on the way to the declared ones, these included, and on which seeds."""

    settings: Positive
    seeds: str | int


Limit = Annotated[float, Meta(description="a finite number", examples=[0.5])]
Function = Annotated[
    str | dict[str, Any],
    Meta(
        description="a dotted path, or {_target_: path, argument: value}",
        examples=["tasks.grokking.claims.decay_gain"],
    ),
]


class ClaimFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/claim/<family>/<id>.yaml`."""

    paper: Text
    arxiv: Annotated[
        str,
        Meta(
            pattern=r"^(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})?$",
            description='a number in quotes, or ""',
            examples=["1705.08741"],
        ),
    ]
    statement: Text
    settings: Annotated[
        tuple[Setting, ...],
        Meta(
            min_length=1,
            description="a list of names with plans",
            examples=[[{"name": "one", "plan": ["task=grokking/modular_addition", "entry=adam", "seed=range(5)"]}]],
        ),
    ]
    measure: Function
    unit: Text
    threshold: Annotated[
        Literal["before", "after"],
        Meta(description="`before` or `after`: fixed before or after data were seen", examples=["before"]),
    ]
    tried: Annotated[
        Tried,
        Meta(description="the settings tried and their seeds", examples=[{"settings": 3, "seeds": "0-4"}]),
    ]
    above: Limit | None = None
    below: Limit | None = None
    between: Annotated[tuple[float, float], Meta(description="[low, high]", examples=[[0.5, 2.0]])] | None = None
    scale: Annotated[Literal["linear", "log"], Meta(description="`linear` or `log`", examples=["log"])] = "linear"
    exact: Annotated[bool, Meta(description="`true` or `false`", examples=[True])] = False
    note: Annotated[str, Meta(description="a text")] = ""

    def __post_init__(self) -> None:
        given = {name: limit for name in ("above", "below", "between") if (limit := getattr(self, name)) is not None}
        if len(given) != 1:
            raise ValueError(f"one of above, below, between is needed, not {' and '.join(given) or 'none'}")
        ((name, limit),) = given.items()
        low, high = limit if isinstance(limit, tuple) else (limit, limit)
        if not math.isfinite(low) or not math.isfinite(high) or low > high:
            wanted = "[low, high]" if name == "between" else "a finite number"
            raise ValueError(f"`{name}: {shown(msgspec.to_builtins(limit))}`: expected {wanted}")
        settings = [setting.name for setting in self.settings]
        if twice := next((name for name in settings if settings.count(name) > 1), None):
            raise ValueError(f"two settings are named {twice!r}")


def _choice(*options: str) -> Meta:
    return Meta(description=f"one of {', '.join(options)}", examples=[options[-1]])


Scale = Annotated[Literal["linear", "log"], _choice("linear", "log")]
Names = str | tuple[str, ...]


class FigureFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/figure/<family>/<id>.yaml` (docs/figures.md)."""

    title: Text
    caption: Text
    plan: Annotated[
        Words | Annotated[dict[str, Words], Meta(min_length=1)],
        Meta(
            description="a list of words, or a mapping of labels to such lists",
            examples=[["task=pde/burgers_1d", "entry=fno,unet", "seed=range(5)"]],
        ),
    ]
    x: Text
    y: Annotated[
        Annotated[str, Meta(pattern=r"\S")] | Words | dict[str, Any],
        Meta(description="a name, a list of names, or a measure", examples=[["train_acc", "monitor_acc"]]),
    ]
    series: Annotated[
        str | Words,
        Meta(description="`entry`, `plan`, a path in the record, or a list of these", examples=["entry"]),
    ] = "entry"
    x_label: Text | None = None
    y_label: Text | None = None
    theory: Annotated[
        str | dict[str, Any] | tuple[str | dict[str, Any], ...],
        Meta(description="a dotted path of a function of x, or a list of such", examples=["math.sqrt"]),
    ] = ()
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    centre: Annotated[Literal["median", "mean"], _choice("median", "mean")] = "median"
    band: Annotated[Literal["range", "interval", "none"], _choice("range", "interval", "none")] = "range"
    draw: Annotated[Literal["line", "points"], _choice("line", "points")] = "line"

    @property
    def plans(self) -> dict[str, tuple[str, ...]]:
        """label -> words; the label is empty where there is one plan."""
        return dict(self.plan) if isinstance(self.plan, dict) else {"": self.plan}

    @property
    def lines(self) -> tuple[str, ...]:
        """What makes a line of its own."""
        return (self.series,) if isinstance(self.series, str) else self.series

    def __post_init__(self) -> None:
        for words in self.plans.values():
            _cells(words)
        if isinstance(self.y, dict) and self.y_label is None:
            raise ValueError("`y_label`: a measure has no name of its own: say what it is, with its unit")
        if isinstance(self.y, dict) and self.x == "step":
            raise ValueError("`x: step`; a measure is one number a record; name what of the record is x")
        if self.draw == "points" and self.x == "step":
            raise ValueError("`draw: points`; curves are lines")
        if "plan" in self.lines and "" in self.plans:
            raise ValueError("`series: plan`; then `plan` is a mapping of labels to words, which name the lines")


class TunedFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`configs/tuned/<family>/<task>/<entry>.yaml`, written by `bench tune` alone. table: a trial's setting, its objective
    and, in newer files, what each of its seeds gave and its cost."""

    preset: str
    trials: Positive
    seeds: tuple[int, ...]
    objective: str
    value: float | Literal["diverged"]
    values: dict[str, Any]
    at_the_edge: tuple[str, ...]
    table: tuple[dict[str, Any], ...]
    space: Literal["lattice", "random", "given"] = "lattice"

    def __post_init__(self) -> None:
        if self.trials != len(self.table):
            raise ValueError(f"{self.trials} trials and a table of {len(self.table)}")
        if any("objective" not in row for row in self.table):
            raise ValueError("a row of the table lacks its `objective`")


class ManifestRow(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row that a submission asks for. trials: of its tuning, None if untuned. entry_digest: of what the row depends on."""

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
    rows: Annotated[tuple[ManifestRow, ...], Meta(min_length=1, description="a list of at least one row")]
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
    "entry": EntryFile,
    "task": TaskFile,
    "suite": SuiteFile,
    "claim": ClaimFile,
    "figure": FigureFile,
    "tuned": TunedFile,
    "manifest": ManifestFile,
}
