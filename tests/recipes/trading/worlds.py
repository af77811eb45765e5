"""Small trainings and small markets for the tests of the recipe."""

from pathlib import Path
from typing import Any, Final

from evertrain.checkpoint.manifest import state_digest
from evertrain.checkpoint.read import read_checkpoint
from evertrain.checkpoint.store import Store
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from evertrain.recipes.trading.config import MarketConfig, TradingConfig
from evertrain.recipes.trading.market import Market

# Learning begins in the second episode of 30 bars, and the ring of 100 rows wraps in the fourth.
_TINY: Final[dict[str, Any]] = {
    "episodes": 8,
    "episode_bars": 30,
    "market": {"source": "random_walk"},
    "agent": {
        "window": 5,
        "learning_rate": 1e-2,
        "buffer_size": 100,
        "learning_starts": 40,
        "batch_size": 16,
        "gradient_steps": 4,
        "target_update_steps": 25,
        "net_arch": [8],
        "epsilon_decay": 0.8,
    },
    "checkpoints": {"save_frequency": 2},
}


def tiny(**changes: Any) -> TradingConfig:
    """Return a training of a second; a change may be a section's, key by key."""
    values = dict(_TINY)
    for key, value in changes.items():
        inner = values.get(key)
        values[key] = {**inner, **value} if isinstance(inner, dict) else value
    return TradingConfig.model_validate(values)


def market_of(folder: Path, prices: list[float], window: int = 1, **settings: Any) -> Market:
    """Return a market of these prices, by way of a file."""
    path = folder / "prices.csv"
    path.write_text("Close\n" + "\n".join(map(str, prices)) + "\n")
    return Market.of(MarketConfig(source=str(path), **settings), window)


def digest(path: Path) -> str:
    """Return the digest of everything that the last checkpoint of a run holds."""
    newest = Store(RunDir(path).checkpoints).latest()
    assert newest is not None
    return state_digest(read_checkpoint(newest.path).manifest)


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the live metrics of a run, less what tells attempts apart."""
    unlike = {"time", "attempt"}
    return [{k: v for k, v in row.items() if k not in unlike} for row in read_metrics(RunDir(path))]
