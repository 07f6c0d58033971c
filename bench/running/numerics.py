"""The arithmetic of a run: settings that hold libraries to operations which all processors do alike, and a digest of the results.

Processors of one name round differently where a library chooses its instructions by the processor, or starts from the
processor's approximate reciprocals (`rcpps`, `rsqrtps`), whose tables differ between makes. Training amplifies the last bit.
With `numerics=portable`, environment variables hold the libraries to AVX2, and `pin` replaces what would still depend on the
processor or be slow without wider instructions. `fingerprint` tells what is left: equal fingerprints, equal bits.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

PORTABLE: Mapping[str, str] = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    # numpy's groups of instructions beyond AVX2; those of the second half are of numpy before 2.4
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL",
}
# Functions that torch takes from MKL's vector library, which starts them from approximate reciprocals; torch's and numpy's
# names. The processor rounds the root correctly, and numpy takes the others from the C library.
_FUNCTIONS = {"sqrt": "sqrt", "log": "log", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan"}
_kept: list[Any] = []  # torch drops the replacements with their library object


def environment(mode: str) -> dict[str, str]:
    """Variables that a process needs before it loads torch and numpy. mode: portable or native. AVX2 is of x86-64 only."""
    return dict(PORTABLE) if mode == "portable" and platform.machine() in ("x86_64", "AMD64") else {}


def pin() -> None:
    """Replace, in this process, the functions in `_FUNCTIONS`, powers of one half, and the products of Muon in bfloat16."""
    import torch
    from torch.optim import _muon

    if _kept:
        return
    library = torch.library.Library("aten", "IMPL")
    _kept.append(library)
    root, power = _by_numpy("sqrt", "sqrt"), _original("pow.Tensor_Scalar")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that kernels are replaced, which is the purpose
        for name, numpy_name in _FUNCTIONS.items():
            _replace(library, (name, f"{name}_", f"{name}.out"), _by_numpy(name, numpy_name))
        names = ("pow.Tensor_Scalar", "pow_.Scalar", "pow.Tensor_Scalar_out")
        _replace(library, names, lambda x, exponent: root(x) if exponent == 0.5 else power(x, exponent))
    iterate, products = _muon._zeropower_via_newtonschulz, _products_in_float32()

    def orthogonal(*arguments: Any) -> Any:
        with products():
            return iterate(*arguments)

    setattr(_muon, iterate.__name__, orthogonal)


def _original(name: str) -> Callable[..., Any]:
    """torch's own kernel of the function `name`."""
    import torch

    kernel, keys = torch.library.get_kernel(f"aten::{name}", "CPU"), torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
    return lambda *arguments: kernel.call_boxed(keys, *arguments)


def _replace(library: Any, names: tuple[str, str, str], kernel: Callable[..., Any]) -> None:
    """Make `kernel` torch's function on the CPU. names: of its forms that return, write in place and into an output."""
    library.impl(names[0], kernel, "CPU")
    library.impl(names[1], lambda x, *rest: x.copy_(kernel(x, *rest)), "CPU")
    library.impl(names[2], lambda x, *rest, out: out.resize_(x.shape).copy_(kernel(x, *rest)), "CPU")


def _by_numpy(name: str, numpy_name: str) -> Callable[..., Any]:
    """torch's function `name` as numpy computes it for real numbers of 32 and 64 bits; others go to torch's own kernel."""
    import numpy as np
    import torch

    own, function, kinds = _original(name), getattr(np, numpy_name), (torch.float32, torch.float64)

    def kernel(x: Any) -> Any:
        if x.dtype not in kinds:
            return own(x)
        result = torch.empty_like(x)  # numpy's own memory is aligned otherwise, and later sums would depend on that
        with np.errstate(all="ignore"):
            function(x.detach().numpy(), out=result.numpy())
        return result

    return kernel


def _products_in_float32() -> Any:
    """A mode of torch in which products of bfloat16 matrices are computed in float32 and rounded once.

    Without bfloat16 instructions the products themselves take many times as long; with them each processor adds in its order.
    """
    import torch

    class Products(torch.overrides.TorchFunctionMode):
        """Widens the arguments of matrix products."""

        def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
            if function not in (torch.Tensor.matmul, torch.Tensor.__matmul__, torch.addmm):
                return function(*arguments, **(options or {}))
            return function(*[x.float() for x in arguments], **(options or {})).bfloat16()

    return Products


# ---------------------------------------------------------------- fingerprint


def here(mode: str) -> str:
    """Set this process to `mode`, as far as torch and numpy are not loaded yet; returns the fingerprint."""
    os.environ |= environment(mode)
    if mode == "portable":
        pin()
    return fingerprint()


def fingerprint() -> str:
    """A digest, 12 hexadecimal digits, of the results of a fixed set of operations in this process, with its settings."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        digest = hashlib.blake2b(digest_size=6)
        for _, result in operations():
            digest.update(result.detach().resolve_conj().numpy().tobytes())
        return digest.hexdigest()
    finally:
        torch.set_num_threads(threads)


def _numbers(*shape: int, kind: Any) -> Any:
    """Numbers from -1 to 1 that every machine makes alike: multiples of 2**-8 by whole-number arithmetic."""
    import torch

    count = math.prod(shape)
    return ((torch.arange(count) * 7919 + 104729) % 509 - 254).to(torch.float64).div(256).to(kind).reshape(shape)


def operations() -> Iterator[tuple[str, Any]]:
    """(name, result) of what libraries compute for tasks and entries: products, factorisations, FFT, convolutions, training."""
    import numpy as np
    import scipy.linalg
    import torch
    from torch.nn import functional

    for kind in (torch.float32, torch.float64):
        for rows, inner, columns in ((3, 5, 7), (64, 96, 32), (1, 300, 50), (130, 260, 70)):
            yield f"product of {rows}", _numbers(rows, inner, kind=kind) @ _numbers(inner, columns, kind=kind)
        matrix = _numbers(40, 40, kind=kind)
        positive = matrix @ matrix.T + 40 * torch.eye(40, dtype=kind)
        yield "solve", torch.linalg.solve(positive, matrix)
        for name in ("cholesky", "eigvalsh", "svdvals"):
            yield name, getattr(torch.linalg, name)(positive)
        yield "qr", torch.linalg.qr(matrix)[0]
        yield "numpy solve", torch.from_numpy(np.linalg.solve(positive.numpy(), matrix.numpy()))
        yield "scipy cholesky", torch.from_numpy(scipy.linalg.cho_factor(positive.numpy())[0])
        wave = _numbers(3, 34, 30, kind=kind)
        for name in ("rfft", "fft2"):
            yield name, getattr(torch.fft, name)(wave)
        yield "irfft", torch.fft.irfft(torch.fft.rfft(wave))
        for name, axes in (("sum", ()), ("sum", (0,)), ("mean", (1,)), ("var", ()), ("norm", ()), ("cumsum", (0,))):
            yield name, getattr(wave, name)(*axes)
        positives = wave.abs() * 0.9 + 0.01
        for name in ("exp", "tanh", "sin", "sigmoid", "erf", "expm1", "log1p", "rsqrt", *_FUNCTIONS):
            yield name, getattr(torch, name)(positives)
        for name in ("exp", "log", "sin", "log1p", "cbrt"):
            yield f"numpy {name}", torch.from_numpy(getattr(np, name)(positives.numpy()))
        for power in (0.5, 1.7):
            yield f"power {power}", positives**power
        yield "logsumexp", torch.logsumexp(wave, 1)
        yield "softmax", functional.softmax(wave, 1)
        yield "gelu", functional.gelu(wave)
        yield "layer norm", functional.layer_norm(wave, (30,))
        for name, shape, weights in (("conv1d", (4, 8, 64), (16, 8, 5)), ("conv2d", (2, 8, 20, 20), (16, 8, 3, 3))):
            weight = _numbers(*weights, kind=kind).requires_grad_()
            output = getattr(functional, name)(_numbers(*shape, kind=kind), weight, padding=1)
            yield name, output
            yield f"{name}, gradient", torch.autograd.grad(output.square().sum(), weight)[0]
    for function in (math.exp, math.log, math.sin, math.gamma):
        yield f"C library, {function.__name__}", torch.from_numpy(np.array([function(x / 97) for x in range(1, 99)]))
    for optimizer in (torch.optim.SGD, torch.optim.AdamW, torch.optim.Muon):
        for weights in _trained(optimizer):
            yield f"training by {optimizer.__name__}", weights


def _trained(optimizer: Any) -> list[Any]:
    """The weights of a small network after 20 steps."""
    import torch

    shapes = ((48, 16), (24, 48))
    weights = [_numbers(*shape, kind=torch.float32).mul(0.3).requires_grad_() for shape in shapes]
    steps = optimizer(weights, lr=0.02)
    inputs, targets = _numbers(96, 16, kind=torch.float32), torch.arange(96) % 24
    for _ in range(20):
        hidden = torch.nn.functional.gelu(inputs @ weights[0].T)
        loss = torch.nn.functional.cross_entropy(hidden @ weights[1].T, targets)
        steps.zero_grad()
        loss.backward()
        steps.step()
    return weights
