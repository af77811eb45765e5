"""The market: its data, its parts, and that nobody sees what is yet to come."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evertrain.core.errors import ConfigError, EvertrainError, MissingExtraError, NotFoundError
from evertrain.recipes.trading import market as market_room
from evertrain.recipes.trading.config import MarketConfig
from evertrain.recipes.trading.market import FARTHEST, Market, Span, divide, load_prices
from recipes.trading.worlds import market_of


@pytest.mark.parametrize(
    ("source", "bars", "first", "last"),
    [("googl", 2335, 196.946945, 1264.650024), ("eurusd", 6225, 1.05227, 1.20075)],
)
def test_the_prices_are_those_of_gym_anytrading(
    source: str, bars: int, first: float, last: float
) -> None:
    """Closing prices, oldest first, from the data inside the package."""
    prices = load_prices(MarketConfig(source=source))

    assert prices.shape == (bars,)
    assert (prices[0], prices[-1]) == (first, last)


def test_each_source_has_its_own_fee_and_year() -> None:
    """A fee that is usual for shares would make hourly trading of currencies hopeless."""
    found = [
        (market.fee, market.bars_per_year)
        for market in (Market.of(MarketConfig(source=name), 5) for name in ("googl", "eurusd"))
    ]

    assert found == [(1e-3, 252), (5e-5, 6225)]


def test_a_random_walk_is_drawn_from_its_seed() -> None:
    """The same seed, the same walk; another one, another."""
    one, again, other = (
        load_prices(MarketConfig(source="random_walk", seed=seed)) for seed in (1, 1, 2)
    )

    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_parts_follow_each_other_without_a_gap() -> None:
    """What is decided at the last bar of a part would be earned in the next: it belongs there."""
    parts = divide(1000, 20, MarketConfig(train_share=0.6, validation_share=0.2))

    assert parts == {"train": Span(20, 600), "validation": Span(600, 800), "test": Span(800, 999)}


@pytest.mark.parametrize("bar", [300, 700, 850])
def test_nothing_that_is_yet_to_come_can_be_seen(bar: int) -> None:
    """Other prices behind a bar change nothing of what is seen until then, not a bit of it.

    In the training part that holds from its end on: what is seen is told in its standard
    deviations.
    """
    config, rng = MarketConfig(source="random_walk"), np.random.default_rng(0)
    prices = load_prices(config)
    parts = divide(len(prices), 10, config)
    last = max(bar, parts["train"].last)
    other = prices.copy()
    other[last + 1 :] *= np.exp(np.cumsum(rng.normal(size=len(prices) - last - 1) * 0.1))

    with pytest.MonkeyPatch.context() as patch:
        markets = []
        for found in (prices, other):
            patch.setattr(market_room, "load_prices", lambda _, found=found: found)
            markets.append(Market.of(config, 10))
    one, two = (each.observe(10, last + 1, 0) for each in markets)

    assert one.tobytes() == two.tobytes()
    later = [each.observe(last + 1, last + 20, 0) for each in markets]
    assert later[0].tobytes() != later[1].tobytes(), "the change would have been seen"


def test_an_observation_is_the_last_changes_and_what_is_held(tmp_path: Path) -> None:
    """In standard deviations of the training part, clipped; the position comes last."""
    rng = np.random.default_rng(0)
    changes = rng.normal(0.0, 0.01, 99)
    changes[30] = 3.0
    market = market_of(tmp_path, list(100 * np.exp(np.cumsum([0.0, *changes]))), window=3)
    scale = changes[: market.parts["train"].last].std()

    first, second = market.observe(31, 33, 1)

    np.testing.assert_allclose(first[:2], changes[28:30] / scale, rtol=1e-5)
    np.testing.assert_allclose(second[0], changes[29] / scale, rtol=1e-5)
    assert (first[2], first[3], second[1]) == (
        pytest.approx(min(3.0 / scale, FARTHEST)),
        1.0,
        first[2],
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Open\n1\n", "KeyError"),
        ("Close\nten\n", "ValueError"),
        ("Close\n1\n0\n", "not above 0"),
        ("Close\n1\nnan\n", "not above 0"),
        ("Close\n" + "1\n" * 30, "parts of"),
        ("", "parts of"),
    ],
)
def test_a_file_without_prices_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    """With what is wrong, and how it should be."""
    path = tmp_path / "own.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=problem):
        Market.of(MarketConfig(source=str(path)), 20)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """It is a path from where the training is started."""
    with pytest.raises(NotFoundError, match=r"own\.csv"):
        load_prices(MarketConfig(source=str(tmp_path / "own.csv")))


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its data are needed, and it is an extra."""
    nothing: Callable[[str], None] = lambda _: None  # noqa: E731
    monkeypatch.setattr(market_room, "find_spec", nothing)

    with pytest.raises(MissingExtraError, match=r"evertrain\[trading\]") as caught:
        load_prices(MarketConfig())

    assert isinstance(caught.value, EvertrainError)
