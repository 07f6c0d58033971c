"""Finite groups as Cayley tables, and their irreducible representations, computed from the table alone.

A group is named in words: cyclic:23, product:2x3x4 (of cyclic groups), dihedral:12 (the symmetries of a 12-gon, order 24),
symmetric:4 (all permutations of 4), quaternion:8 (generalised: any multiple of 4 from 8).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from bench.contract import BenchError
from bench.metrics.spectra import irrep_power

LARGEST = 256  # order; a table has its square of pairs
FORMS = "cyclic:23, product:2x3x4, dihedral:12, symmetric:4, quaternion:8"


@dataclass(frozen=True, eq=False)
class Component:
    """A real irreducible representation of a group: one of the components that every real function on it is the sum of.

    degree: d of the complex representation. kind: its Frobenius-Schur indicator; 1 for a real one, 0 for one of a conjugate
    pair (the pair is one component), -1 for a quaternionic one. matrices (M, D, D) float64: orthogonal, one an element; D is d
    for a real one, else 2d.
    """

    degree: int
    kind: int
    matrices: Tensor


@dataclass(frozen=True, eq=False)
class Group:
    """A finite group of order M; table (M, M) holds in row a and column b the index of the product ab."""

    name: str
    table: Tensor

    @property
    def order(self) -> int:
        return len(self.table)

    def products(self) -> tuple[Tensor, Tensor]:
        """All pairs (M², 2) of elements, row by row of the table, and the index (M²,) of each one's product."""
        elements = torch.arange(self.order)
        return torch.cartesian_prod(elements, elements), self.table.reshape(-1)

    def sample_size(self, ratio: float) -> int:
        """`ratio` times M ln M, rounded down; -1 for a ratio that is not finite."""
        return math.floor(ratio * self.order * math.log(self.order)) if math.isfinite(ratio) else -1

    @cached_property
    def identity(self) -> int:
        """Index of the neutral element."""
        steps = torch.arange(self.order)
        return int((self.table == steps).all(1).nonzero()[0])

    @cached_property
    def inverse(self) -> Tensor:
        """(M,) index of each element's inverse."""
        return (self.table == self.identity).int().argmax(1)

    @cached_property
    def characters(self) -> Tensor:
        """(irreps, M) complex128: the character of each irreducible representation, the trivial one first, then by degree.

        Burnside's method: the class sums span the centre of the group algebra, and the eigenvectors of multiplication by a
        random central element are ω_χ(C) = |C| χ(C) / χ(1). ArithmeticError if the squared degrees do not sum to M.
        """
        table, inverse, size = self.table, self.inverse, self.order
        conjugates = table[table, inverse[:, None]]  # row x, column y: x y x^-1
        _, classes = conjugates.amin(0).unique(return_inverse=True)
        count = int(classes.max()) + 1
        sizes = classes.bincount().double()
        first = torch.stack([(classes == c).nonzero()[0, 0] for c in range(count)])
        draw = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        # row s, column t: the pairs x in C_r, y in C_s with xy = z_t, weighted by the draw for r
        multiply = torch.zeros(count, count, dtype=torch.float64)
        for t, z in enumerate(first.tolist()):
            multiply[:, t].index_add_(0, classes[table[inverse, z]], draw[classes])
        scale = sizes.sqrt()
        vectors = torch.linalg.eig(multiply / scale[:, None] * scale)[1] * scale[:, None]
        omega = vectors / vectors[classes[self.identity]]
        degrees = (size / (omega.abs().square() / sizes[:, None]).sum(0)).sqrt()
        if not torch.allclose(degrees, degrees.round(), atol=1e-6) or int(degrees.round().square().sum()) != size:
            raise ArithmeticError(f"the degrees {degrees.tolist()} of {self.name}: their squares do not sum to {size}")
        chars = (omega / sizes[:, None] * degrees.round()).T[:, classes]
        keys = [(round(float(d)), *(-chars[i].real).round(decimals=6).tolist()) for i, d in enumerate(degrees)]
        return chars[sorted(range(count), key=lambda i: (keys[i], float(chars[i].imag.sum())))]

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The non-trivial real irreducible representations; with the constants they make up all real functions."""
        chars, irreducible = self.characters, []
        quotient = self.table[:, self.inverse]  # row x, column y: x y^-1
        squares = self.table.diagonal()
        for i in range(1, len(chars)):
            twin = int((chars - chars[i].conj()).abs().sum(1).argmin())
            if twin < i:
                continue
            degree = round(float(chars[i, self.identity].real))
            kind = round(float(chars[i][squares].real.mean()))
            projector = degree / self.order * chars[i][quotient].real * (1 if twin == i else 2)
            irreducible.append(Component(degree, kind, self._matrices(projector, degree * (1 if kind == 1 else 2))))
        return tuple(irreducible)

    @property
    def largest_degree(self) -> int:
        """The largest degree of an irreducible representation, 1 for an abelian group."""
        return round(float(self.characters[:, self.identity].real.max()))

    def _matrices(self, projector: Tensor, dimension: int) -> Tensor:
        """(M, D, D): one of the equivalent copies in the component that `projector` (M, M) leaves.

        The eigenspaces, within the component, of a random symmetric combination of right multiplications, which commute
        with all left ones, are irreducible.
        """
        size = self.order
        weights = torch.rand(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        weights = weights + weights[self.inverse]
        right = weights[self.table[self.inverse]]  # row x, column y: weight of x^-1 y
        # far from 0, where the projector sends the rest of the space
        shifted = right + 10 * size * torch.eye(size, dtype=torch.float64)
        basis = torch.linalg.eigh(projector @ shifted @ projector)[1][:, -dimension:]
        return torch.einsum("gxi,xj->gij", basis[self.table], basis)  # <b_i(g .), b_j>

    def level(self, component: Component) -> float:
        """The energy of a unit vector that is a single feature of `component` (Tian 2025; E = ½ |Ỹᵀ(Xw)²|²).

        E = (2/M) Σ_k d_k |û_k v̂_k|² over the non-trivial complex irreps k; its maximum within one component is M/(2d) if that
        is real, and M/(4d) if not: a conjugate pair shares the power, and a quaternionic û has its singular values in pairs.
        """
        return self.order / ((2 if component.kind == 1 else 4) * component.degree)

    def shares(self, weight: Tensor) -> Tensor:
        """(width, components) shares of power, constants left out, of rows (width, 2M); both operands are added."""
        constant = torch.ones(self.order, 1, 1, dtype=torch.float64)
        rows = weight.reshape(len(weight), 2, self.order)
        power = irrep_power(rows, [constant, *(c.matrices for c in self.components)])[:, 1:]
        return power / power.sum(1, keepdim=True).clamp_min(1e-300)


def from_table(name: str, table: Tensor) -> Group:
    """The group of a Cayley table; BenchError, naming the law that fails, if it is none."""
    size = len(table)
    steps = torch.arange(size)

    def need(holds: bool, law: str) -> None:
        if not holds:
            raise BenchError(f"{name}: the table is no group's: {law}")

    need(size > 1 and table.shape == (size, size), "it has two elements or more, and a row and a column for each")
    need(bool(((table >= 0) & (table < size)).all()), f"closure: every product is one of its {size} elements")
    columns, rows = table.sort(0).values == steps[:, None], table.sort(1).values == steps
    need(bool((columns & rows).all()), "Latin square: every element occurs once in every row and column")
    left, right = (table == steps).all(1), (table == steps[:, None]).all(0)
    need(bool((left & right).any()), "identity: one element leaves all others as they are, from both sides")
    need(bool((table[table] == table[:, table]).all()), "associativity: (ab)c = a(bc)")
    return Group(name, table)


@cache
def group(name: str) -> Group:
    """The group of that name, such as dihedral:12; BenchError for a name of no group, or an order beyond 256."""
    kind, _, text = name.partition(":")
    numbers = text.split("x")
    wrong = BenchError(f"task.group={name!r}: no such group; groups read {FORMS}")
    if not all(n.isdecimal() for n in numbers) or (len(numbers) > 1 and kind != "product"):
        raise wrong
    sizes = [int(n) for n in numbers]
    n = sizes[0]
    orders = {
        "cyclic": n,
        "product": math.prod(sizes),
        "dihedral": 2 * n if n > 2 else 0,
        "symmetric": math.factorial(min(n, 20)),
        "quaternion": n if n % 4 == 0 and n > 4 else 0,
    }
    if kind not in orders or min(sizes) < 2 or orders[kind] == 0:
        raise wrong
    if orders[kind] > LARGEST:
        raise BenchError(f"task.group={name!r} has order {orders[kind]}; {LARGEST} is the largest here")
    if kind == "symmetric":
        table = _permutations(n)
    elif kind == "dihedral":
        table = _twisted(n, 0)
    elif kind == "quaternion":
        table = _twisted(n // 2, n // 4)
    else:
        table = _product(sizes)
    return from_table(name, table)


def _product(sizes: list[int]) -> Tensor:
    """Component-wise addition of residues."""
    elements = list(itertools.product(*(range(n) for n in sizes)))
    index = {element: i for i, element in enumerate(elements)}
    return torch.tensor(
        [[index[tuple((x + y) % n for x, y, n in zip(a, b, sizes, strict=True))] for b in elements] for a in elements]
    )


def _twisted(n: int, shift: int) -> Tensor:
    """Elements r^i s^j, i mod n, j mod 2, with s r = r^-1 s and s² = r^shift: dihedral for shift 0, quaternion for n/2."""
    i, j = torch.arange(2 * n) % n, torch.arange(2 * n) // n
    power = i[:, None] + (1 - 2 * j)[:, None] * i + shift * j[:, None] * j
    return power % n + n * ((j[:, None] + j) % 2)


def _permutations(n: int) -> Tensor:
    """Composition, (ab)(x) = a(b(x))."""
    elements = list(itertools.permutations(range(n)))
    index = {element: i for i, element in enumerate(elements)}
    return torch.tensor([[index[tuple(a[x] for x in b)] for b in elements] for a in elements])
