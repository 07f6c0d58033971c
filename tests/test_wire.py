"""What crosses between the processes: values come back as they were, and nothing else gets through."""

from __future__ import annotations

import json
import math
import pickle
import socket
import struct
import threading
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import wire

DTYPES = (
    torch.float32, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8,
    torch.bool, torch.complex64, torch.complex128,
)  # fmt: skip


@st.composite
def tensors(draw) -> torch.Tensor:
    """Any type, any shape, empty and zero-dimensional ones too, with infinities and NaN where the type has them."""
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    dtype = draw(st.sampled_from(DTYPES))
    size = math.prod(shape)
    if dtype.is_complex or dtype.is_floating_point:
        numbers = draw(st.lists(st.floats(width=16), min_size=size, max_size=size))
    else:
        numbers = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    return torch.tensor(numbers, dtype=torch.float64).to(dtype).reshape(shape)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    PLAIN | tensors(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def same(a: Any, b: Any) -> bool:
    """Equal in value and in type; NaN equals NaN; zeros keep their sign."""
    if isinstance(a, torch.Tensor):
        if not isinstance(b, torch.Tensor) or a.dtype != b.dtype or a.shape != b.shape:
            return False
        return a.numpy().tobytes() == b.numpy().tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_a_value_comes_back_as_it_was(value):
    assert same(wire.roundtrip(value), value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1])
def test_floats_come_back_to_the_bit(number):
    assert same(wire.roundtrip({"x": [number]}), {"x": [number]})


def test_the_header_is_strict_json():
    frame = wire.encode({"a": math.nan, "b": torch.tensor([math.inf])})
    header, body = struct.unpack_from("<QQ", frame)
    assert len(frame) == 16 + header + body and body == 4
    json.loads(frame[16 : 16 + header], parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_keys_that_look_like_the_codes_stay_keys():
    tricky = {"@": [1, 2, 3], "@f": "nan", "@d": {"@": "x"}}
    assert wire.roundtrip(tricky) == tricky


def test_tuples_become_lists_and_keys_become_text():
    assert wire.roundtrip((1, (2, 3))) == [1, [2, 3]]
    assert wire.roundtrip({1: "a"}) == {"1": "a"}


def test_views_cross_whole_and_without_gradients():
    base = torch.arange(12.0).reshape(3, 4)
    for view in (base.T, base[:, ::2], base[1], base.expand(2, 3, 4), torch.nn.Parameter(base)):
        back = wire.roundtrip(view)
        assert torch.equal(back, view) and back.is_contiguous() and not back.requires_grad


@pytest.mark.parametrize(
    ("sent", "received"),
    [(torch.bfloat16, torch.float32), (torch.float16, torch.float32), (torch.complex32, torch.complex64)],
)
@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_half_precision_arrives_whole_in_single(sent, received):
    """numpy has no bfloat16; single precision holds each value of a half."""
    numbers = torch.tensor([1 / 3, -2.5e-3, float("inf"), 0.0]).to(sent)
    back = wire.roundtrip(numbers)
    assert back.dtype == received and torch.equal(back, numbers.to(received))


def test_lazy_conjugates_and_signs_arrive_as_numbers():
    z = torch.tensor([1 + 2j, 3 - 4j])
    for view in (z.conj(), z.conj().imag, z.conj()[::2]):
        assert torch.equal(wire.roundtrip(view), view.clone())


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("float8_e4m3fn", torch.zeros(2, dtype=torch.float8_e4m3fn)),
        ("qint8", torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)),
        ("sparse_coo", torch.eye(2).to_sparse()),
    ],
)
def test_tensors_that_numpy_cannot_hold_are_refused_by_name(name, tensor):
    with pytest.raises(TypeError, match=f"type {name} cannot cross to another process; give a dense one"):
        wire.encode([tensor])


def test_an_arriving_tensor_owns_its_memory():
    original = torch.zeros(3)
    back = wire.roundtrip([original, original])
    back[0] += 1
    assert torch.equal(original, torch.zeros(3)) and torch.equal(back[1], torch.zeros(3))


class Payload:
    """What an attacker would send: pickle would call print on arrival."""

    def __reduce__(self):
        return print, ("ran code",)


@pytest.mark.parametrize(
    "thing", [Payload(), object(), b"bytes", {1, 2}, len, lambda: 1, 1j, torch.nn.Linear(1, 1), [{"deep": object()}]],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_anything_else_is_refused_by_its_type(thing):
    with pytest.raises(TypeError, match="cannot cross to another process; use tensors, numbers"):
        wire.encode(thing)


def test_a_pickle_is_not_unpickled(capsys):
    evil = pickle.dumps(Payload())
    with pytest.raises(ValueError):
        wire.decode(evil, b"")
    assert "ran code" not in capsys.readouterr().out


def test_a_body_that_is_too_short_is_an_error():
    frame = wire.encode(torch.zeros(4))
    header = struct.unpack_from("<Q", frame)[0]
    with pytest.raises((ValueError, RuntimeError)):
        wire.decode(frame[16 : 16 + header], b"\0" * 8)


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield wire.Connection(left), wire.Connection(right)


def test_frames_keep_their_order_and_survive_pieces(pair):
    near, far = pair
    messages = [["score", 1.5], {"big": torch.randn(200, 300)}, None, []]
    sender = threading.Thread(target=lambda: [near.send(message) for message in messages])
    sender.start()
    received = [far.recv() for _ in messages]
    sender.join(timeout=10)
    assert all(map(same, received, messages))
    blob = wire.encode([1, torch.ones(2)])
    for i in range(len(blob)):
        near.sock.sendall(blob[i : i + 1])
    assert same(far.recv(), [1, torch.ones(2)])


def test_a_peer_that_goes_in_the_middle_of_a_frame_is_the_end_of_file(pair):
    near, far = pair
    near.sock.sendall(wire.encode(torch.zeros(8))[:-1])
    near.sock.close()
    with pytest.raises(EOFError, match="has gone"):
        far.recv()
