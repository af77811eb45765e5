"""One episode as its seed and its actions, and a digest of all that came of them.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

import struct
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.bluesky.generators import Stream
from evertrain.integrations.bluesky.scenario import Physics

Observation = NDArray[np.float32]
Action = NDArray[np.float32]


class Trace:
    """A digest of every observation and reward of an episode, in order."""

    def __init__(self) -> None:
        """Nothing was seen."""
        self._digest = blake2b(digest_size=16)

    def add(self, observation: Observation, reward: float) -> None:
        """Add what a reset or a step brought."""
        self._digest.update(observation.tobytes())
        self._digest.update(struct.pack("<d", reward))

    def hex(self) -> str:
        """Return the digest of all so far."""
        return self._digest.hexdigest()


@dataclass(slots=True)
class Episode:
    """The episode that is open.

    Attributes:
        seed: What it was begun with.
        physics: How it is simulated, to its end.
        actions: Since its beginning; shape (2,) each.
        trace: Digest of what came of them.
        stream: What the simulator draws from.
        known: Indices of the aircraft that are in conflict with the own one now.
        conflicts: How often another aircraft came into conflict with it.
    """

    seed: int
    physics: Physics
    stream: Stream
    actions: list[Action] = field(default_factory=list)
    trace: Trace = field(default_factory=Trace)
    known: frozenset[int] = frozenset()
    conflicts: int = 0

    @classmethod
    def begin(cls, seed: int, physics: Physics) -> "Episode":
        """Return an episode in which nothing has happened."""
        return cls(seed, physics, Stream(seed))

    def see(self, found: NDArray[Any]) -> None:
        """Count who is newly in conflict.

        Args:
            found: Of each aircraft, whether it is; shape (aircraft,).
        """
        now = frozenset(np.flatnonzero(found).tolist())
        self.conflicts += len(now - self.known)
        self.known = now

    def record(self) -> Tree:
        """Return all that it takes to come here again."""
        return {
            "seed": self.seed,
            "physics": asdict(self.physics),
            "actions": np.array(self.actions, np.float32).reshape(-1, 2),
            "trace": self.trace.hex(),
        }
