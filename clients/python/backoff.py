"""How long to wait before each attempt to connect again. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator

#: The first attempt comes at once: most losses are a change of network that is over already.
FIRST_DELAY_S = 0.25
#: Long enough that a thousand clients of a dead node are no flood, short enough to be back soon.
LONGEST_DELAY_S = 5.0
#: Clients of one node lose it in the same moment; they must not all return in the same moment.
JITTER = 0.3


def delays_s(chance: random.Random) -> Iterator[float]:
    """0, then doubling from `FIRST_DELAY_S` up to `LONGEST_DELAY_S`, each up to `JITTER` longer."""
    yield 0.0
    delay_s = FIRST_DELAY_S
    while True:
        yield delay_s * (1 + JITTER * chance.random())
        delay_s = min(2 * delay_s, LONGEST_DELAY_S)
