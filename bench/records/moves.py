"""Where a module or a `_target_` went: records and entries keep the names of the day they were written.

A move is listed here once. An old name counts only where it is no new one too: `bench.claims` was a module and is a room now,
so `bench.claims.Claim` moved and `bench.claims.verdicts` did not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOVES: Mapping[str, str] = {
    "baselines.activations.pointwise": "baselines.networks.layers",
    "baselines.attention.qk_layernorm": "baselines.networks.attention",
    "baselines.attention.softcap": "baselines.networks.attention",
    "baselines.connectivity.ranks": "baselines.initializers.ranks",
    "baselines.learners.constant": "baselines.networks.floors",
    "baselines.logits.softcap": "baselines.networks.layers",
    "baselines.models.chance": "baselines.networks.floors",
    "baselines.scaling.mu_param": "baselines.optimizers.mu_param",
    "baselines.schedules.trapezoid": "baselines.optimizers.schedules",
    "baselines.tops.ridge": "baselines.networks.layers",
    "bench.board.claims": "bench.claims.report",
    "bench.board.figures": "bench.figures.drawing",
    "bench.board.points": "bench.figures.points",
    "bench.board.reading": "bench.tables.seed_values",
    "bench.board.records": "bench.board.record_page",
    "bench.board.render": "bench.tables.printers",
    "bench.board.standings": "bench.tables.standings",
    "bench.board.table": "bench.tables.table",
    "bench.board.tables": "bench.tables.join",
    "bench.calibration": "bench.running.calibration",
    "bench.cite": "bench.board.citation",
    "bench.claimed": "bench.checking.published_rows",
    "bench.claims": "bench.claims.claim",
    "bench.cli": "bench.verbs.main",
    "bench.comparisons": "bench.tables.comparisons",
    "bench.config": "bench.planning.config",
    "bench.contract_suite": "bench.checking.contract_suite",
    "bench.data.check": "tasks.pde.files.check",
    "bench.data.croissant": "tasks.pde.files.croissant",
    "bench.data.fields": "tasks.pde.files.fields",
    "bench.data.make": "tasks.pde.files.make",
    "bench.data.pdebench": "tasks.pde.files.pdebench",
    "bench.data.writing": "tasks.pde.files.writing",
    "bench.data.verbs": "tasks.pde.files.verbs",
    "bench.datasheet": "bench.board.datasheet",
    "bench.entry_process": "bench.running.entry_process",
    "bench.figures": "bench.figures.gallery",
    "bench.frames": "bench.running.frames",
    "bench.golden": "bench.upkeep.golden",
    "bench.guard": "bench.running.entry_watch",
    "bench.hydra_main": "bench.verbs.hydra_door",
    "bench.index": "bench.records.index",
    "bench.isolation": "bench.running.sandbox",
    "bench.kernel": "bench.running.linux_sandbox",
    "bench.key": "bench.records.identity",
    "bench.new": "bench.submissions.new",
    "bench.plan": "bench.planning.plan",
    "bench.pool": "bench.running.pool",
    "bench.metrics.dynamics": "bench.metrics.trajectories",
    "bench.precedence": "bench.claims.preregistration",
    "bench.process": "bench.running.scorer_process",
    "bench.progress": "bench.running.progress",
    "bench.provenance": "bench.records.provenance",
    "bench.publish": "bench.records.ledger",
    "bench.recertify": "bench.upkeep.recertify",
    "bench.replay": "bench.checking.replay",
    "bench.runner": "bench.running.sweep",
    "bench.screening": "bench.running.message_checks",
    "bench.server": "bench.running.fork_server",
    "bench.sinks": "bench.running.sinks",
    "bench.spaces": "bench.tuning.spaces",
    "bench.speedrun": "bench.checking.speedrun",
    "bench.stats": "bench.tables.statistics",
    "bench.store": "bench.records.store",
    "bench.submission": "bench.submissions.package",
    "bench.submission_check": "bench.submissions.pull_request",
    "bench.submit": "bench.submissions.submit",
    "bench.submitted": "bench.submissions.folder",
    "bench.suspicions": "bench.checking.oddities",
    "bench.templates": "bench.submissions.templates",
    "bench.tune": "bench.tuning.search",
    "bench.tuning": "bench.tuning.trials",
    "bench.verdicts": "bench.claims.verdicts",
    "bench.verify": "bench.checking.verify",
    "tasks.pde.fno": "baselines.surrogates.fno",
}


NEW = frozenset(MOVES.values())
ROOTS = frozenset(name.partition(".")[0] for name in MOVES)


def _renamed(name: str) -> str:
    parts = name.split(".")
    if parts[0] not in ROOTS:
        return name
    prefixes = [".".join(parts[:cut]) for cut in range(len(parts), 0, -1)]
    if NEW.isdisjoint(prefixes):
        for prefix in prefixes:
            if prefix in MOVES:
                return MOVES[prefix] + name.removeprefix(prefix)
    return name


def moved(node: Any) -> Any:
    """A copy of nested mappings and lists in which every text that is an old dotted name, or lies under one, is the new one.

    Keys stay as they are.
    """
    if isinstance(node, str):
        return _renamed(node)
    if isinstance(node, Mapping):
        return {key: moved(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [moved(value) for value in node]
    return node
