"""The source of all chance: named, independent, counter-based streams.

Nothing in this package draws from a global generator. Every random number is a pure function of
integers, so it is the same on every device, in every process and for every number of threads, and
another language can rebuild it from this page.

Philox4x32-10
    (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.)
    State: a counter of four and a key of two unsigned 32-bit words. One round maps
        (c0, c1, c2, c3) -> (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0))
    with M0 = 0xD2511F53, M1 = 0xCD9E8D57; hi and lo are the halves of the 64-bit product. Ten rounds;
    before each but the first, k0 += 0x9E3779B9 and k1 += 0xBB67AE85 (mod 2^32). The four words of
    the last state are the output, lane 0 to 3.

Streams of a projection
    Philox key  k0 = seed mod 2^32, k1 = seed div 2^32        (the projection's 64-bit seed)
    counter     c0 = index mod 2^32, c1 = stream * 2^16 + index div 2^32  (index < 2^48, stream < 2^16),
                c2 = key mod 2^32,  c3 = key div 2^32         (the tensor's 64-bit key)
    so that (seed, key, stream, index) never meet in the same block. Which index and lane an entry of a
    matrix takes, and what it makes of the word, is said in the docstring of each projection.

Derived seeds
    derive(root, a, b, ...) is the first 8 bytes, little endian, of BLAKE2b-64 over the UTF-8 text of the
    JSON list [root, a, b, ...] (no spaces, non-ASCII escaped). name_key(name) is the same over
    ["tensor", name].
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

M0, M1 = 0xD2511F53, 0xCD9E8D57
"""The multipliers of Philox4x32."""
W0, W1 = 0x9E3779B9, 0xBB67AE85
"""The increments of the key of Philox4x32."""
ROUNDS = 10
"""The number of rounds."""
MASK32 = 0xFFFFFFFF
"""The bits of a 32-bit word."""


def derive(root: int, *names: str | int) -> int:
    """A 64-bit seed for the stream called `names` under `root`: another name, another independent stream."""
    return _hash([root, *names])


def name_key(name: str) -> int:
    """The 64-bit key of a tensor: a hash of its canonical name, so it does not depend on its position."""
    return _hash(["tensor", name])


def _hash(value: list[str | int]) -> int:
    text = json.dumps(value, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def philox4x32(counter: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """The output of Philox4x32-10.  counter [..., 4] uint32, key two 32-bit words -> [..., 4] uint32."""
    c0, c1, c2, c3 = (counter[..., lane].astype(np.uint64) for lane in range(4))
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(M0), c2 * np.uint64(M1)
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            p1 & np.uint64(MASK32),
            (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            p0 & np.uint64(MASK32),
        )
        k0, k1 = (k0 + W0) & MASK32, (k1 + W1) & MASK32
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def generator(root: int, *names: str | int) -> np.random.Generator:
    """A numpy generator (Philox4x64) over derive(root, *names): for shuffles and simulations."""
    return np.random.Generator(np.random.Philox(key=derive(root, *names)))
