"""The two-layer network on pairs of group elements, its exact solution, and what is probed of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.metrics.trajectories import weight_norm
from tasks.grokking.arithmetic import one_hot
from tasks.grokking.groups import Group


def square(x: Tensor) -> Tensor:
    """x², the activation of Tian 2025's theory."""
    return x.square()


def unchanged(network: nn.Module) -> None:
    """Leave the initial weights as they are."""


class TwoLayer(nn.Module):
    """logits = V σ(W x), W (width, 2M), V (M, width); no biases (Tian 2025, eq. 1). activation(x=...) is elementwise."""

    def __init__(self, order: int, width: int, activation: Callable[..., Tensor]) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * order, width, bias=False)
        self.output = nn.Linear(width, order, bias=False)
        self.activation = activation

    def features(self, x: Tensor) -> Tensor:
        """(n, 2M) one-hot pairs -> (n, width) hidden activities F."""
        return self.activation(x=self.hidden(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))


def exact(group: Group) -> TwoLayer:
    """A network of zero loss, float64, with x² and 2 Σ D³ hidden units over the real irreducible representations.

    The label's delta function is (1/M) Σ d χ(g1 g2 h^-1) over the complex irreps, each χ a sum of products
    ρ_ij(g1) ρ_jl(g2) ρ_li(h^-1), and 4ab = (a + b)² - (a - b)² makes a product of two hidden units.
    """
    rows, columns = [], []
    for component in group.components:
        rho = component.matrices
        size = rho.shape[1]
        factor = component.degree / group.order / 4 / (2 if component.kind == -1 else 1)  # a real one there is 2 χ
        back = rho[group.inverse]
        for i in range(size):
            for j in range(size):
                for k in range(size):
                    for sign in (1.0, -1.0):
                        rows.append(torch.cat([rho[:, i, j], sign * rho[:, j, k]]))
                        columns.append(sign * factor * back[:, k, i])
    network = TwoLayer(group.order, len(rows), square).double()
    with torch.no_grad():
        network.hidden.weight.copy_(torch.stack(rows))
        network.output.weight.copy_(torch.stack(columns, 1))
    return network


def centred_one_hot(labels: Tensor, order: int) -> Tensor:
    """(n,) -> (n, M) float32: one-hot less 1/M, what the centred logits should be."""
    return nn.functional.one_hot(labels, order).float() - 1 / order


@torch.no_grad()
def probe(network: TwoLayer, group: Group, inputs: Tensor, labels: Tensor, unseen: Tensor) -> dict[str, float]:
    """Features, stage and progress of a network.

    inputs (n, 2M), labels (n,): the training pairs. unseen (n', 2): the others; their products come from the table.

    irrep_purity: mean over hidden units of the largest share of power in one real irreducible representation.
    irreps_covered: share of the representations that are the strongest of some hidden unit of purity above ½.
    gf_norm: |G_F| / n, G_F = (Ỹ - Õ) V, Õ the centred logits: the gradient that reaches the features (Tian 2025).
    feature_overlap: Frobenius norm of the off-diagonal of F̃ᵀF̃ over that of its diagonal, F̃ = F less its mean over samples;
    0 where hidden units are independent of one another.
    """
    shares = group.shares(network.hidden.weight)
    purity, strongest = shares.max(1)
    features = network.features(inputs)
    logits = network.output(features)
    target = centred_one_hot(labels, group.order)
    logits = logits - logits.mean(-1, keepdim=True)
    backward = (target - logits) @ network.output.weight
    centred = features - features.mean(0)
    gram = centred.T @ centred
    diagonal = gram.diagonal().square().sum()
    overlap = (gram.square().sum() / diagonal.clamp_min(1e-30) - 1).clamp_min(0).sqrt()
    others = network(one_hot(unseen, group.order))
    products = group.table[unseen[:, 0], unseen[:, 1]]
    return {
        "weight_norm": weight_norm(network.parameters()),
        "irrep_purity": float(purity.mean()),
        "irreps_covered": len(strongest[purity > 0.5].unique()) / len(group.components),
        "gf_norm": float(backward.norm()) / len(labels),
        "feature_overlap": float(overlap),
        **progress(logits, labels, others, products, group.order),
    }


def progress(logits: Tensor, labels: Tensor, others: Tensor, products: Tensor, order: int) -> dict[str, float]:
    """Progress measures after Nanda et al. 2023 (arXiv 2301.05217), with the centred squared loss.

    They restrict logits to functions of the product (there: waves cos w_k(a+b), sin w_k(a+b) of the key frequencies). Here it
    is the mean logits f(h) over the *unseen* pairs of product h, so that memorised pairs leave no trace in f:
    restricted_loss is the loss of f, mean over products, and excluded_loss that of the training logits less f.
    logits (n, M), centred, labels (n,) of the training pairs; others (n', M), products (n',) of the unseen ones.
    """
    others = others - others.mean(-1, keepdim=True)
    count = products.bincount(minlength=order)
    mean = torch.zeros(order, order).index_add_(0, products, others) / count.clamp_min(1)[:, None]
    seen = count > 0
    mean = (mean - mean[seen].mean(0)) * seen[:, None]
    targets = centred_one_hot(torch.arange(order), order)
    return {
        "restricted_loss": float((mean - targets)[seen].square().sum(-1).mean()),
        "excluded_loss": float((logits - mean[labels] - centred_one_hot(labels, order)).square().sum(-1).mean()),
        "unseen_loss": float((others - targets[products]).square().sum(-1).mean()),
    }
