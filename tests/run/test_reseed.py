"""Other random numbers, where a person has allowed them."""

import random

import numpy as np
import pytest

from evertrain.run.reseed import reseed, wanted


def draws(*things: object) -> list[float]:
    """Return the next number of the global generators and of `things`."""
    own = [thing.random() for thing in things]  # type: ignore[attr-defined]
    return [random.random(), float(np.random.random()), *own]  # noqa: NPY002


def test_every_generator_draws_otherwise_and_the_same_salt_draws_the_same() -> None:
    """Global ones and attached ones; no two of them are alike."""

    def things() -> list[object]:
        return [random.Random(0), np.random.default_rng(0), np.random.RandomState(0)]

    found: dict[str, list[float]] = {}
    for salt in ("5", "6", "5 again"):
        mine = things()
        reseed(salt.partition(" ")[0], 4312, mine)
        found[salt] = draws(*mine)
    assert found["5"] == found["5 again"]
    assert not set(found["5"]) & set(found["6"])
    assert len(set(found["5"])) == 5
    fresh = things()
    assert not set(found["5"][2:]) & set(draws(*fresh)[2:])


def test_what_is_no_generator_stays_as_it_is() -> None:
    """Arrays, dicts and models are state, and not chance."""
    array, table = np.ones(3), {"seed": 1}
    bits = np.random.PCG64(0)
    before = bits.state
    reseed("1", 0, [array, table, object(), bits])
    assert array.tolist() == [1, 1, 1]
    assert table == {"seed": 1}
    assert bits.state != before


def test_torch_is_reseeded_too() -> None:
    """Its global generator, and one that is attached."""
    torch = pytest.importorskip("torch")
    mine = torch.Generator()
    reseed("1", 0, [mine])
    first = (torch.rand(1).item(), torch.rand(1, generator=mine).item())
    reseed("2", 0, [mine])
    second = (torch.rand(1).item(), torch.rand(1, generator=mine).item())
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_it_is_done_only_where_it_is_asked_for() -> None:
    """By the supervisor."""
    assert wanted({}) is None
    assert wanted({"EVERTRAIN_RESEED": "5"}) == "5"
