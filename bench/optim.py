"""Any optimizer by name: torch.optim, pytorch_optimizer, or the dotted path of a class.

`named` fills the `optimizer` slot and handles the special cases. `resolve` reads the libraries' sources and imports nothing,
so that the planner can check a name without torch.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError
from bench.parts import as_declared

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

LISTS = {"torch": "__all__", "pytorch_optimizer": "OPTIMIZER_LIST"}  # package -> variable that lists its optimizers
MODULE_ARGUMENT = {"adammini"}  # take the module instead of its parameters
CLOSURE = {
    "alig", "bsam", "lbfgs", "adamwschedulefreeclosure", "radamschedulefreeclosure", "sgdschedulefreeclosure",
}  # fmt: skip
CREATE_GRAPH = {"adahessian", "sophiah"}  # need the graph of the gradient
GROUPED = {"adago", "adamuon", "muon", "muonclip", "normuon"}  # parameter groups with use_muon=True or False
MATRICES = {"torch.optim.Muon", "pytorch_optimizer.SpectralSphere"}  # take 2-D parameters only
REST_RATE = 0.1  # AdamW's rate for the other parameters, as a share of the matrices' rate
ADDITIONS = {"ranger21": "num_iterations", "bsam": "num_data"}  # the argument that takes the number of steps
EAGER = {"splus"}  # their eval() fails before the first step
PRIMED = {"bsam"}  # their first step needs existing gradients
FORWARDING = {"magma"}  # pass unknown arguments on; the others of pytorch_optimizer ignore them
BASE = "it wraps another optimizer, given as an object; write a function (model, steps) that builds both"
UNSUPPORTED = {
    "adalomo": "it fuses the step into backward and has no step() of its own",
    "demo": "it needs a torch.distributed process group",
    "distributedmuon": "it needs a torch.distributed process group",
    "lomo": "it fuses the step into backward and has no step() of its own",
    "lorarite": "it trains pairs of low-rank factors, which a plain model does not have",
    "optimizer": "it is the base class",
    "schedulefreewrapper": BASE,
    "schedulefreewrapperreference": BASE,
    "sparseadam": "it takes sparse gradients only; use Adam for dense ones",
    **dict.fromkeys(("friendlysam", "gsam", "lookahead", "looksam", "orthograd", "sam", "trac", "wsam"), BASE),
}


@cache
def _exported(package: str, *module: str) -> dict[str, str]:
    """Lower-case name -> exact name of a library's optimizers, read from its source."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return {}
    source = Path(spec.submodule_search_locations[0], *module, "__init__.py")
    names = {}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == LISTS[package] for target in targets):
            listed = ast.walk(node.value)  # type: ignore[attr-defined]
            words = (getattr(item, "id", getattr(item, "value", None)) for item in listed)
            names.update({word.lower(): word for word in words if isinstance(word, str) and word[0].isupper()})
    return names


def resolve(name: str) -> str:
    """Dotted path of the optimizer class `name`, of torch.optim before pytorch_optimizer. BenchError, with the nearest names,
    if there is none, and for a class that cannot run here."""
    low = name.lower().rpartition(".")[2]
    known = "." not in name or name.split(".")[0] in (*LISTS, "schedulefree")
    if known and low in UNSUPPORTED:
        raise BenchError(f"optimizer {name!r} cannot run here: {UNSUPPORTED[low]}")
    if "." in name:
        return name
    torch_names = _exported("torch", "optim")
    other = _exported("pytorch_optimizer", "optimizer")
    if low in torch_names:
        return f"torch.optim.{torch_names[low]}"
    if low in other:
        return f"pytorch_optimizer.{other[low]}"
    near = difflib.get_close_matches(low, [*torch_names, *other], n=4)
    near = [torch_names.get(n) or other[n] for n in near]
    hint = f"nearest: {', '.join(near)}" if near else "give the dotted path of a class, such as my_parts.MyOptimizer"
    raise BenchError(f"no optimizer {name!r} in torch.optim or pytorch_optimizer; {hint}")


class Joint:
    """Optimizers over disjoint parameters that step together. `param_groups` holds their own dictionaries, so that a schedule
    sets their rates there."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        self.param_groups = [group for part in parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Reset all gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each; returns the loss of `closure`, which is called once before them."""
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss


def _matrices(model: nn.Module) -> tuple[list[Any], list[Any]]:
    """(the 2-D weights that are no embeddings, all other parameters). An output layer is among the former: nothing marks it."""
    from torch import nn

    outer = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    hidden = [p for p in parameters if p.ndim == 2 and id(p) not in outer]
    inner = {id(p) for p in hidden}
    return hidden, [p for p in parameters if id(p) not in inner]


def _make(cls: Callable[..., Any], name: str, parameters: Any, options: dict[str, Any]) -> Any:
    try:
        return cls(parameters, **options)
    except (TypeError, ValueError, AttributeError, ImportError) as error:
        raise BenchError(f"optimizer {name!r} cannot be made of {options or 'its defaults'}: {error}") from error


def _primed(optimizer: Any) -> Callable[..., Any]:
    """The optimizer's step, which calls the closure once before the first step."""
    step = optimizer.step

    def primed(closure: Callable[[], Any]) -> Any:
        if not optimizer.state:
            closure()
        return step(closure)

    return primed


def _beside(cls: Callable[..., Any], name: str, model: nn.Module, options: dict[str, Any]) -> Any:
    """`cls` for the matrices; AdamW for the rest, with the same decay and REST_RATE times the rate."""
    import torch

    hidden, rest = _matrices(model)
    if not hidden:
        raise BenchError(f"optimizer {name!r} trains matrices, and this model has none")
    main = _make(cls, name, hidden, options)
    if not rest:
        return main
    rate, decay = (main.param_groups[0][key] for key in ("lr", "weight_decay"))
    return Joint(main, torch.optim.AdamW(rest, lr=REST_RATE * rate, weight_decay=decay))


def named(model: nn.Module, steps: int, name: str, lr: float | None = None, **arguments: Any) -> Optimizer:
    """The optimizer `name` over `model`'s parameters, for `steps` updates.

    lr: None keeps the class's default. arguments: of the class; BenchError, with the known ones, for an unknown one. A class
    for matrices only gets the 2-D weights that are no embeddings; AdamW, at a tenth of the rate, trains the rest.
    """
    path = resolve(name)
    module, _, attribute = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BenchError(f"cannot import optimizer {name!r}: {error}; check the dotted path") from error
    low, foreign = attribute.lower(), module.startswith("pytorch_optimizer")
    options = dict(arguments)
    if lr is not None:
        options["lr"] = lr
    options = as_declared(cls, options)
    known = [key for key, p in inspect.signature(cls).parameters.items() if p.kind is not p.VAR_KEYWORD]
    passes_on = len(known) < len(inspect.signature(cls).parameters) and (not foreign or low in FORWARDING)
    unknown = [key for key in options if key not in known and not passes_on]
    if unknown:
        raise BenchError(f"{attribute} takes no {unknown[0]!r}; it takes {', '.join(known[1:])}")
    if foreign and low in ADDITIONS:
        options.setdefault(ADDITIONS[low], steps)
    if path in MATRICES:
        optimizer = _beside(cls, name, model, options)
    else:
        parameters: Any = [p for p in model.parameters() if p.requires_grad]
        if foreign and low in MODULE_ARGUMENT:
            parameters = model
        elif foreign and low in GROUPED:
            hidden, rest = _matrices(model)
            groups = [{"params": hidden, "use_muon": True}, {"params": rest, "use_muon": False}]
            parameters = [group for group in groups if group["params"]]
        optimizer = _make(cls, name, parameters, options)
    for group in optimizer.param_groups:
        group.setdefault("lr", 1.0)  # optimizers without a rate: a schedule needs one to scale
    if low in EAGER:
        evaluate = optimizer.eval
        optimizer.eval = lambda: evaluate() if optimizer.state else None
    if low in PRIMED:
        optimizer.step = _primed(optimizer)
    for mark, marked in (("wants_closure", CLOSURE), ("wants_graph", CREATE_GRAPH)):
        setattr(optimizer, mark, getattr(optimizer, mark, low in marked))  # a class may set the mark itself
    return optimizer  # type: ignore[no-any-return]
