"""Numbers about learning dynamics, in one place: every name of `trajectories`, `curvature`, `kernels` and `spectra`.

Importing this needs no torch: what needs it is looked up on first use. A task should import the module that a function
is from, so that its records depend on that code alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.metrics.trajectories import (
    Line,
    Power,
    delay,
    divergence_boundary,
    fit_log,
    fit_power,
    fit_sqrt,
    gradient_norm,
    lr_sensitivity,
    recovery,
    snapshot,
    spikes,
    time_to_target,
    update_norm,
    weight_distance,
    weight_norm,
)

if TYPE_CHECKING:
    from bench.metrics.curvature import gauss_newton_trace, hessian_trace, hessian_vector_product, top_eigenvalue
    from bench.metrics.kernels import alignment, gram, ntk
    from bench.metrics.spectra import effective_rank, fourier_power, fourier_purity, irrep_power, irrep_purity

__all__ = [
    "Line",
    "Power",
    "alignment",
    "delay",
    "divergence_boundary",
    "effective_rank",
    "fit_log",
    "fit_power",
    "fit_sqrt",
    "fourier_power",
    "fourier_purity",
    "gauss_newton_trace",
    "gradient_norm",
    "gram",
    "hessian_trace",
    "hessian_vector_product",
    "irrep_power",
    "irrep_purity",
    "lr_sensitivity",
    "ntk",
    "recovery",
    "snapshot",
    "spikes",
    "time_to_target",
    "top_eigenvalue",
    "update_norm",
    "weight_distance",
    "weight_norm",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from bench.metrics import curvature, kernels, spectra

        for module in (curvature, kernels, spectra):
            if name in vars(module):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
