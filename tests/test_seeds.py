"""Philox against the published Random123 vectors, in its three implementations; derived seeds."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from intrinsic.kernels import cpu, reference
from intrinsic.seeds import derive, generator, name_key, philox4x32

# kat_vectors of Random123 1.14, philox4x32 with 10 rounds: counter, key, output.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def numbers(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_published_vectors(counter: str, key: str, output: str) -> None:
    c, k, want = numbers(counter), numbers(key), numbers(output)
    assert philox4x32(np.array(c, np.uint32), (k[0], k[1])).tolist() == want
    # the projections' layout: index = c0 + 2^32 (c1 mod 2^16), stream = c1 div 2^16, key = c2 + 2^32 c3
    index, stream = c[0] + ((c[1] & 0xFFFF) << 32), c[1] >> 16
    seed, tensor = k[0] + (k[1] << 32), c[2] + (c[3] << 32)
    lanes = reference.philox(torch.tensor([index]), seed, tensor, stream)
    assert [int(lane) for lane in lanes] == want
    compiled = cpu.words(seed, tensor, stream, 4 * index, 4)
    assert compiled.tolist() == want


@pytest.mark.parametrize(("start", "count"), [(0, 1), (3, 2), (5, 1001), (4 * 2**40 + 1, 7)])
def test_words_are_the_same_everywhere(start: int, count: int) -> None:
    seed, key = 2**64 - 3, 2**63 + 5
    slow = reference.words(seed, key, 7, start, count, torch.device("cpu"))
    assert torch.equal(cpu.words(seed, key, 7, start, count), slow)
    index = start // 4
    counter = np.array([index & 0xFFFFFFFF, (7 << 16) | (index >> 32), key & 0xFFFFFFFF, key >> 32], np.uint32)
    assert philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))[start % 4] == int(slow[0])


def test_derived_seeds_are_stable_and_distinct() -> None:
    assert derive(0, "data") == derive(0, "data")
    made = {derive(root, name, i) for root in range(20) for name in ("a", "b", "ab") for i in range(20)}
    assert len(made) == 20 * 3 * 20
    assert derive(1, "a", "b") != derive(1, "a,b")
    assert derive(1, 1) != derive(1, "1")
    assert all(0 <= seed < 2**64 for seed in made)


def test_known_derived_seeds() -> None:
    """Stored artefacts depend on these: they may never change."""
    assert name_key("bert.embeddings.word_embeddings.weight") == NAME_KEY
    assert derive(7, "projection", 3) == DERIVED


NAME_KEY = 15352563750629073399
DERIVED = 9830712109587331877


def test_generators_are_reproducible_in_another_process() -> None:
    code = "from intrinsic.seeds import generator; print(generator(5, 'x').permutation(20).tolist())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(generator(5, "x").permutation(20).tolist())
