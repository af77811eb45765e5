"""A market: its prices, what may be seen of them, and which part is for what.

The parts follow each other in time. The agent trains on the first, checkpoints are
ranked on the second, and the third is looked at when everything is over. A part may
be seen together with what was before it, never with what came after.

Layer: recipes. Imports its siblings and core.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from evertrain.core.errors import ConfigError, MissingExtraError, NotFoundError
from evertrain.recipes.trading.config import MarketConfig

Array = NDArray[np.float64]
Observation = NDArray[np.float32]
Part = Literal["train", "validation", "test"]

PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")
FARTHEST: Final = 10.0  # changes of the price are clipped at so many standard deviations
_WALK_BARS: Final = 2335  # as many days as there are of GOOGL
_WALK_VOLATILITY: Final = 0.015  # per bar, about that of GOOGL
_FEWEST_BARS: Final = 10  # in each part


@dataclass(frozen=True, slots=True)
class Source:
    """What is usual for a source of prices.

    Attributes:
        file: Name of the data in the package gym-anytrading, or None.
        bars_per_year: How many of its bars make a year.
        fee: Cost of a trade, as a fraction.
    """

    file: str | None
    bars_per_year: float
    fee: float


_SOURCES: Final = {
    "googl": Source("STOCKS_GOOGL", bars_per_year=252, fee=1e-3),
    "eurusd": Source("FOREX_EURUSD_1H_ASK", bars_per_year=6225, fee=5e-5),
    "random_walk": Source(None, bars_per_year=252, fee=1e-3),
}
_OWN: Final = Source(None, bars_per_year=252, fee=1e-3)


@dataclass(frozen=True, slots=True)
class Span:
    """Bars at which an agent decides: from `first` to the one before `last`."""

    first: int
    last: int

    @property
    def count(self) -> int:
        """How many decisions there are."""
        return self.last - self.first


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Prices and what follows from them.

    Attributes:
        prices: Of each bar, at its close; shape (bars,).
        parts: Which bars are for what.
        window: Changes of the price that can be seen at once.
        seen: What can be seen of the prices at bar `window` and each later one: the last
            changes of their logarithm, in standard deviations of the training part; float32,
            shape (bars - window, window).
        volatility: Standard deviation of these changes in the training part, 1 if it is 0.
        fee: Cost of a trade, as a fraction of what is traded.
        bars_per_year: For ratios that are told per year.
        capital: Money at the start of an examination.
    """

    prices: Array
    parts: dict[Part, Span]
    window: int
    seen: Observation
    volatility: float
    fee: float
    bars_per_year: float
    capital: float

    @classmethod
    def of(cls, config: MarketConfig, window: int) -> "Market":
        """Return the market that a configuration names.

        Args:
            config: Whose prices, and how they are divided.
            window: Changes of the price that can be seen at once.

        Raises:
            ConfigError: There are too few prices, or some are no prices.
            MissingExtraError: The data are those of a package that is not installed.
            NotFoundError: There is no such file.
        """
        usual, prices = _SOURCES.get(config.source, _OWN), load_prices(config)
        parts = divide(len(prices), window, config)
        changes = np.diff(np.log(prices))
        volatility = float(changes[: parts["train"].last].std()) or 1.0
        scaled = np.clip(changes / volatility, -FARTHEST, FARTHEST).astype(np.float32)
        return cls(
            prices=prices,
            parts=parts,
            window=window,
            seen=np.lib.stride_tricks.sliding_window_view(scaled, window),
            volatility=volatility,
            fee=usual.fee if config.fee is None else config.fee,
            bars_per_year=config.bars_per_year or usual.bars_per_year,
            capital=config.capital,
        )

    def observe(self, first: int, last: int, position: int) -> Observation:
        """Return what an agent sees who holds `position` at the bars from `first` to `last` - 1.

        Returns:
            float32, shape (last - first, window + 1); the position comes last.
        """
        prices = self.seen[first - self.window : last - self.window]
        held = np.full((len(prices), 1), position, np.float32)
        return np.concatenate([prices, held], axis=1)


def divide(bars: int, window: int, config: MarketConfig) -> dict[Part, Span]:
    """Return the parts of a market, in the order of time.

    The last bar of a part is the first of the next: what is decided there is earned behind it.

    Raises:
        ConfigError: A part would have next to no bars.
    """
    train = round(bars * config.train_share)
    validation = round(bars * (config.train_share + config.validation_share))
    borders = (window, train, validation, bars - 1)
    spans = [Span(first, last) for first, last in pairwise(borders)]
    if min(span.count for span in spans) < _FEWEST_BARS:
        raise ConfigError(
            f"{config.source} has {bars} prices, which make parts of"
            f" {', '.join(str(max(span.count, 0)) for span in spans)} decisions.",
            f"each of {', '.join(PARTS)} needs {_FEWEST_BARS} at least, behind the first {window}.",
            "Give more prices, other shares, or a smaller agent.window.",
        )
    return dict(zip(PARTS, spans, strict=True))


def load_prices(config: MarketConfig) -> Array:
    """Return the closing prices of a source, oldest first.

    Raises:
        ConfigError: It is no file that can be read, has no column `Close`, or something in it
            is no price.
        MissingExtraError: The data are those of a package that is not installed.
        NotFoundError: There is no such file.
    """
    if config.source == "random_walk":
        rng = np.random.default_rng(config.seed)
        return 100.0 * np.exp(np.cumsum(rng.normal(0.0, _WALK_VOLATILITY, _WALK_BARS)))
    shipped = _SOURCES.get(config.source, _OWN).file
    path = Path(config.source) if shipped is None else _folder() / f"{shipped}.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # as spreadsheets save it
            return _closes(csv.DictReader(file), path)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there is no file {path}.",
            "market.source names it, from the directory where the training is started.",
            "Check the path, or use googl, eurusd or random_walk.",
        ) from error
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise _no_prices(path, str(error.strerror)) from error


def _closes(rows: Iterable[dict[str, Any]], path: Path) -> Array:
    try:
        prices = np.array([float(row["Close"]) for row in rows])
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise _no_prices(path, f"{type(error).__name__}: {error}") from error
    if not (np.isfinite(prices) & (prices > 0)).all():
        raise _no_prices(path, "some are not above 0")
    return prices


def _no_prices(path: Path, problem: str) -> ConfigError:
    return ConfigError(
        f"{path} does not hold prices: {problem:.200}.",
        "a row needs a number above 0 in the column Close.",
        "Correct the file; the first line has the names of the columns.",
    )


def _folder() -> Path:
    """Return where gym-anytrading keeps its data; importing it would load much more."""
    spec = find_spec("gym_anytrading")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "'gym_anytrading' is not installed.",
            "the recipe trading takes its prices from there.",
            "pip install 'evertrain[trading]'",
        )
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data"
