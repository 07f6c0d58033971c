"""bench.running.numerics: one arithmetic for many processors, and a digest that tells when it is another."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.execute import Job
from bench.records import identity
from bench.records.identity import Digests
from bench.records.record import decode
from bench.running import numerics
from bench.running.pool import Pool
from tests.conftest import ROOT


def python(code: str, **variables: str) -> str:
    """The output of `code` in a Python that sees no settings of this one's libraries but `variables`."""
    unset = {*numerics.PORTABLE, "OPENBLAS_L2_SIZE"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FINGERPRINT = "from bench.running import numerics; numerics.pin(); print(numerics.fingerprint())"

EXACT = """
import numpy as np, torch
from bench.running import numerics
numerics.pin()
for kind in (torch.float32, torch.float64):
    x = torch.rand(40001, dtype=kind, generator=torch.Generator().manual_seed(0)) * 9 + 1e-3
    root = torch.from_numpy(np.sqrt(x.numpy()))
    forms = [x.sqrt(), x**0.5, x.clone().sqrt_(), x.clone().pow_(0.5), torch.sqrt(x, out=torch.empty(0, dtype=kind)),
             torch.pow(x, 0.5, out=torch.empty_like(x)), torch._foreach_sqrt([x])[0]]
    assert all(torch.equal(form, root) for form in forms)
    for name in ("log", "tan", "asin", "acos", "atan"):
        y = x / 10
        exact = torch.from_numpy(getattr(np, numerics._FUNCTIONS[name])(y.numpy().astype(np.longdouble)).astype(y.numpy().dtype))
        assert torch.allclose(getattr(torch, name)(y), exact, rtol=4 * torch.finfo(kind).eps, atol=1e-6 * (name == "tan"))
assert torch.equal(x**3, x * x * x) or torch.allclose(x**3, x * x * x)
grid = torch.rand(4, 6).T
assert grid.sqrt().stride() == grid.stride() and torch.sqrt(torch.tensor(4.0)) == 2 and torch.sqrt(torch.tensor([])).shape == (0,)
assert torch.sqrt(torch.tensor(4)) == 2.0 and torch.sqrt(torch.tensor(4)).dtype == torch.float32
assert torch.sqrt(torch.tensor(-1 + 0j)) == 1j and torch.sqrt(torch.tensor(9.0, dtype=torch.bfloat16)) == 3
assert torch.sqrt(torch.tensor(-1.0)).isnan() and torch.log(torch.tensor(0.0)) == -torch.inf
assert torch.tensor([2, 3]).pow(2).tolist() == [4, 9]
point = torch.rand(5, dtype=torch.float64, requires_grad=True)
for function in (torch.sqrt, torch.log, lambda z: z**0.5, torch.atan):
    assert torch.autograd.gradcheck(function, point) and torch.autograd.gradgradcheck(function, point)
assert torch.equal(torch.vmap(torch.sqrt)(grid), grid.sqrt())
value, tangent = torch.func.jvp(torch.sqrt, (torch.tensor(4.0),), (torch.tensor(1.0),))
assert (value.item(), tangent.item()) == (2.0, 0.25)
with torch.inference_mode():
    assert torch.sqrt(torch.tensor(9.0)) == 3
assert torch.sqrt(torch.empty(3, device="meta")).shape == (3,)
numerics.pin()
print("exact")
"""

MUON = """
import torch
from torch.optim import _muon
from bench.running import numerics
gradient = torch.randn(48, 20, generator=torch.Generator().manual_seed(0))
arguments = (gradient, (3.4445, -4.7750, 2.0315), 5, 1e-7)
before = _muon._zeropower_via_newtonschulz(*arguments)
numerics.pin()
after = _muon._zeropower_via_newtonschulz(*arguments)
assert after.dtype == before.dtype == torch.bfloat16 and after.shape == before.shape
singular = torch.linalg.svdvals(after.float())
assert 0.6 < singular.min() and singular.max() < 1.3, singular
assert (after.float() - before.float()).abs().max() < 0.03
a = torch.randn(8, 8).bfloat16()
assert (a @ a).dtype == torch.bfloat16
print("like before")
"""


def test_replaced_functions_are_exact_in_every_form():
    assert python(EXACT) == "exact"


def test_muon_orthogonalises_as_before():
    assert python(MUON) == "like before"


def test_equal_settings_give_equal_fingerprints_and_another_arithmetic_another_one():
    portable = python(FINGERPRINT, **numerics.environment("portable"))
    assert len(portable) == 12 and int(portable, 16)
    assert python(FINGERPRINT, **numerics.environment("portable")) == portable
    assert python(FINGERPRINT, **numerics.environment("portable") | {"MKL_CBWR": "COMPATIBLE"}) != portable
    assert numerics.environment("native") == {}


@pytest.mark.parametrize("mode", ["portable", "native"])
def test_both_processes_of_a_cell_have_the_arithmetic_that_its_record_names(mode):
    """The entry's process loses most of its environment before it computes."""
    params = {"limit": 10, "trained": 4, "rounds": 3, "evaluations": 4, "dtype": "float32", "probe_until": 100}
    target = "tests.odd_tasks.Arithmetic"
    files = identity.components(Digests(), target, {}, {})[1]
    with Pool(1, mode=mode) as pool:
        ((_, outcome, _),) = pool.run([("cell", "cell", Job(target, params, {}, 0, "/nowhere", reads=files))])
    assert outcome.status == "ok", outcome.traceback
    assert outcome.metrics["drawn"] == outcome.metrics["spent"] == int(pool.fingerprint, 16)


def test_every_new_record_names_its_arithmetic(bench, tmp_path):
    for mode in ("portable", "native"):
        words = ("task=toy/line", "entry=line_sgd", "preset=smoke", f"numerics={mode}", "reuse=none")
        assert bench("run", *words).returncode == 0
    made = [decode(path.read_bytes()).provenance for path in (tmp_path / "results" / "local").glob("*/*.json")]
    assert {origin.numerics for origin in made} == {"portable", "native"}
    assert all(len(origin.fingerprint) == 12 for origin in made)
    table = bench("table", "task=toy/line", "entry=line_sgd", "preset=smoke")
    assert "arithmetics" not in table.stdout, "the newest record of a cell counts"
    assert "there are native, portable" in bench("run", "task=toy/line", "numerics=fast").stderr


def test_a_fingerprint_that_fails_ends_the_fork_server_with_its_error():
    """The parent waits for the fingerprint: without an end of the server it would wait for ever."""
    code = "from bench.running import fork_server, numerics\nnumerics.fingerprint = lambda: 1 / 0\n"
    code += "try:\n    fork_server._fingerprint()\nexcept RuntimeError as error:\n    print(error)"
    assert python(code) == "the numerics fingerprint could not be computed; the error stands above"


def test_a_change_in_one_operation_shows_in_the_fingerprint():
    code = "import torch\nfrom bench.running import numerics\n"
    code += "own = torch.linalg.cholesky\ntorch.linalg.cholesky = lambda x: own(x) * (1 + 2**-23)\n"
    whole = python(FINGERPRINT.replace("numerics.pin(); ", ""))
    assert python(code + "print(numerics.fingerprint())") != whole
