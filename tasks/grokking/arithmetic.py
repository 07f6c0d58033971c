"""Tables of operations mod p, their encoding, and the loss of Tian 2025."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.contract import BenchError

OPERATIONS = ("add", "sub", "mul", "div")


def is_prime(n: int) -> bool:
    """Trial division; moduli are small."""
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def table(op: str, p: int) -> tuple[Tensor, Tensor]:
    """Every pair (a, b) as (n, 2) integers and its result mod p as (n,).

    add, sub: all residues, n = p². mul, div: nonzero residues, n = (p-1)²; division multiplies by b^(p-2) (Fermat).
    Raises BenchError for an unknown operation, p < 3, or a modulus that is not prime where an inverse is needed.
    """
    if op not in OPERATIONS:
        raise BenchError(f"task.op={op!r}: choose one of {', '.join(OPERATIONS)}")
    if p < 3 or (op in ("mul", "div") and not is_prime(p)):
        raise BenchError(f"task.p={p}: {op} needs a {'prime ' if op in ('mul', 'div') else ''}modulus of 3 or more")
    residues = torch.arange(1 if op in ("mul", "div") else 0, p)
    a, b = (grid.reshape(-1) for grid in torch.meshgrid(residues, residues, indexing="ij"))
    if op == "add":
        result = a + b
    elif op == "sub":
        result = a - b
    elif op == "mul":
        result = a * b
    else:
        inverses = torch.tensor([0, *(pow(x, p - 2, p) for x in range(1, p))])
        result = a * inverses[b]
    return torch.stack([a, b], 1), result % p


def one_hot(pairs: Tensor, p: int) -> Tensor:
    """(n, 2) integers -> (n, 2p) concatenated one-hot vectors, float32."""
    return functional.one_hot(pairs, p).flatten(1).float()


def centred_mse(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over samples of Σ(ō)² - 2 ō_y + 1 - 1/M, with ō the logits less their mean (Tian 2025, the paper's `mse`).

    Equals the squared distance of ō to the centred one-hot label; zero at the exact solution. logits (n, M), labels (n,).
    """
    centred = logits - logits.mean(-1, keepdim=True)
    picked = centred.gather(-1, labels[:, None]).squeeze(-1)
    return (centred.square().sum(-1) - 2 * picked + 1 - 1 / logits.shape[-1]).mean()
