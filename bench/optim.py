"""Any optimizer by name: torch.optim, pytorch_optimizer, or the dotted path of a class.

`named` fills the `optimizer` slot. It passes what the special cases need (a module instead of parameters, groups for
the Muon family, a number of iterations) and marks the optimizers that want a closure or a differentiable backward.
Name resolution reads the libraries' sources and imports nothing, so the planner can check a name without torch.
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

LISTS = {"torch": "__all__", "pytorch_optimizer": "OPTIMIZER_LIST"}  # where a library's source lists its optimizers
MODULE_ARGUMENT = {"adammini"}  # takes the module itself
CLOSURE = {
    "alig", "bsam", "lbfgs", "adamwschedulefreeclosure", "radamschedulefreeclosure", "sgdschedulefreeclosure",
}  # fmt: skip
CREATE_GRAPH = {"adahessian", "sophiah"}  # need the graph of the gradient
GROUPED = {"adago", "adamuon", "muon", "muonclip", "normuon"}  # parameter groups with use_muon=True or False
MATRICES = {"torch.optim.Muon", "pytorch_optimizer.SpectralSphere"}  # take 2-D parameters only
REST_RATE = 0.1  # of the matrices' rate, for the AdamW that trains everything else beside them
ADDITIONS = {"ranger21": "num_iterations", "bsam": "num_data"}  # argument that is the number of steps
EAGER = {"splus"}  # whose eval() fails before the first step
PRIMED = {"bsam"}  # whose first step wants gradients to be there
FORWARDING = {"magma"}  # hands unknown arguments on; the others of pytorch_optimizer swallow them without a word
BASE = "it wraps another optimizer, which it wants as an object; write a function (model, steps) that builds both"
UNSUPPORTED = {
    "adalomo": "it fuses the step into backward and has no step() of its own",
    "demo": "it needs a torch.distributed process group",
    "distributedmuon": "it needs a torch.distributed process group",
    "lomo": "it fuses the step into backward and has no step() of its own",
    "lorarite": "it trains pairs of low-rank factors, which a plain model does not have",
    "optimizer": "it is only the base class",
    "schedulefreewrapper": BASE,
    "schedulefreewrapperreference": BASE,
    "sparseadam": "it takes sparse gradients only; Adam is its like for dense ones",
    **dict.fromkeys(("friendlysam", "gsam", "lookahead", "looksam", "orthograd", "sam", "trac", "wsam"), BASE),
}


@cache
def _exported(package: str, *module: str) -> dict[str, str]:
    """Lower-case name -> exact name of the classes a library lists as its optimizers, read from its source."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return {}
    source = Path(spec.submodule_search_locations[0], *module, "__init__.py")
    names = {}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == LISTS[package] for target in targets):
            listed = ast.walk(node.value)  # type: ignore[attr-defined]
            found = (getattr(item, "id", getattr(item, "value", None)) for item in listed)
            names.update({name.lower(): name for name in found if isinstance(name, str) and name[0].isupper()})
    return names


def resolve(name: str) -> str:
    """Dotted path of the optimizer class `name`; BenchError if there is none, with the nearest names, or if it cannot work.

    A name in torch.optim wins over the same name in pytorch_optimizer.
    """
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
    """Optimizers over disjoint parameters, driven as one. `param_groups` holds their own dictionaries, so that a schedule
    that sets rates there reaches them.
    """

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        self.param_groups = [group for part in parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each; returns what `closure`, called once before them, returns."""
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss


def _matrices(model: nn.Module) -> tuple[list[Any], list[Any]]:
    """The 2-D weights that are no embeddings, and everything else. An output layer counts among the former: nothing
    tells it apart.
    """
    from torch import nn as nn_

    outer = {id(p) for m in model.modules() if isinstance(m, nn_.Embedding) for p in m.parameters()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    hidden = [p for p in parameters if p.ndim == 2 and id(p) not in outer]
    chosen = {id(p) for p in hidden}
    return hidden, [p for p in parameters if id(p) not in chosen]


def _make(cls: Callable[..., Any], name: str, parameters: Any, options: dict[str, Any]) -> Any:
    try:
        return cls(parameters, **options)
    except (TypeError, ValueError, AttributeError, ImportError) as error:
        raise BenchError(f"optimizer {name!r} cannot be made of {options or 'its defaults'}: {error}") from error


def _primed(optimizer: Any) -> Callable[..., Any]:
    """The optimizer's step, with a call of the closure before the first."""
    step = optimizer.step

    def primed(closure: Callable[[], Any]) -> Any:
        if not optimizer.state:
            closure()
        return step(closure)

    return primed


def _beside(cls: Callable[..., Any], name: str, model: nn.Module, options: dict[str, Any]) -> Any:
    """`cls` for the matrices, and AdamW with the same decay, at REST_RATE times the rate, for the rest."""
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

    lr None keeps the class's own default. Other arguments go to the class as they are; an argument that it lacks is a
    BenchError that lists those it has. Classes that take matrices only get the 2-D weights that are no embeddings;
    AdamW, at a tenth of their rate, trains the rest.
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
        group.setdefault("lr", 1.0)  # for those that find their own rate: a schedule has nothing to scale there
    if low in EAGER:
        evaluate = optimizer.eval
        optimizer.eval = lambda: evaluate() if optimizer.state else None
    if low in PRIMED:
        optimizer.step = _primed(optimizer)
    for mark, marked in (("wants_closure", CLOSURE), ("wants_graph", CREATE_GRAPH)):
        setattr(optimizer, mark, getattr(optimizer, mark, low in marked))  # a class of one's own may say so itself
    return optimizer  # type: ignore[no-any-return]
