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
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

MODULE_ARGUMENT = {"lomo", "adalomo", "adammini"}  # take the module itself
CLOSURE = {"alig", "lbfgs"}
CREATE_GRAPH = {"adahessian", "sophiah"}  # need the graph of the gradient
GROUPED = {"adamuon", "adago", "muonclip", "normuon"}  # parameter groups with use_muon=True or False
UNSUPPORTED = {
    "distributedmuon": "it needs a torch.distributed process group",
    "demo": "it needs a torch.distributed process group",
    "lomo": "it fuses the step into backward and has no step() of its own",
    "adalomo": "it fuses the step into backward and has no step() of its own",
}


@cache
def _exported(package: str, *module: str) -> dict[str, str]:
    """Lower-case name -> exact name of the classes a library's module imports, read from its source."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return {}
    source = Path(spec.submodule_search_locations[0], *module, "__init__.py")
    names = {}
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = alias.asname or alias.name
                if name[:1].isupper() and not name.isupper() or name in {"SGD", "ASGD", "LBFGS", "SOAP", "LOMO"}:
                    names[name.lower()] = name
    return names


def resolve(name: str) -> str:
    """Dotted path of the optimizer class `name`; BenchError with the nearest names if there is none.

    A name in torch.optim wins over the same name in pytorch_optimizer.
    """
    if "." in name:
        return name
    torch_names = _exported("torch", "optim")
    other = _exported("pytorch_optimizer", "optimizer")
    low = name.lower()
    if low in torch_names:
        return f"torch.optim.{torch_names[low]}"
    if low in other:
        if low in UNSUPPORTED:
            raise BenchError(f"optimizer {name!r} cannot run here: {UNSUPPORTED[low]}")
        return f"pytorch_optimizer.{other[low]}"
    near = difflib.get_close_matches(low, [*torch_names, *other], n=4)
    hint = f"nearest: {', '.join(near)}" if near else "give the dotted path of a class, such as my_parts.MyOptimizer"
    raise BenchError(f"no optimizer {name!r} in torch.optim or pytorch_optimizer; {hint}")


def _matrices(model: nn.Module) -> tuple[list[Any], list[Any]]:
    """Hidden 2-D weights, and everything else (embeddings, heads, norms, biases), as the Muon papers split them."""
    from torch import nn as nn_

    outer = {id(p) for m in model.modules() if isinstance(m, nn_.Embedding) for p in m.parameters()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    hidden = [p for p in parameters if p.ndim == 2 and id(p) not in outer]
    chosen = {id(p) for p in hidden}
    return hidden, [p for p in parameters if id(p) not in chosen]


def named(model: nn.Module, steps: int, name: str, lr: float | None = None, **arguments: Any) -> Optimizer:
    """The optimizer `name` over `model`'s parameters.

    lr None keeps the class's own default. Other arguments go to the class as they are; an argument that it lacks is a
    BenchError that lists those it has.
    """
    module, _, attribute = resolve(name).rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BenchError(f"cannot import optimizer {name!r}: {error}; check the dotted path") from error
    low = attribute.lower()
    options = dict(arguments)
    if lr is not None:
        options["lr"] = lr
    known = inspect.signature(cls).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        unknown = [key for key in options if key not in known]
        if unknown:
            raise BenchError(f"{attribute} takes no {unknown[0]!r}; it takes {', '.join(list(known)[1:])}")
    if low == "ranger21":
        options.setdefault("num_iterations", steps)
    elif low == "bsam":
        options.setdefault("num_data", steps)
    parameters: Any = [p for p in model.parameters() if p.requires_grad]
    if module.startswith("pytorch_optimizer"):
        if low in MODULE_ARGUMENT:
            parameters = model
        elif low in GROUPED or low == "muon":
            hidden, rest = _matrices(model)
            parameters = [{"params": hidden, "use_muon": True}, {"params": rest, "use_muon": False}]
        elif low == "spectralsphere":
            parameters = [p for p in parameters if p.ndim == 2]
    optimizer: Optimizer = cls(parameters, **options)
    optimizer.wants_closure = low in CLOSURE  # type: ignore[attr-defined]
    optimizer.wants_graph = low in CREATE_GRAPH  # type: ignore[attr-defined]
    return optimizer
