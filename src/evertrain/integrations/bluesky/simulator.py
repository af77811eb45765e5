"""The simulator of this process: started once, quietly, and begun afresh for each episode.

BlueSky is a set of module-wide objects, so two environments in one process would
fly in one sky. Its clock and timers run on from episode to episode, so what
happens in one depends on how many steps the process has made before; here they
start over each time, and an episode is a function of its seed and its actions.

Layer: integrations. Imports its siblings and core.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakSet

from evertrain.core.errors import UsageError
from evertrain.integrations.bluesky.conflict import Flight
from evertrain.integrations.bluesky.home import home, prepared
from evertrain.integrations.bluesky.scenario import SCENARIOS, Physics, Scenario
from evertrain.integrations.extras import require

_OWN = "KL001"  # the call sign of the aircraft that is controlled, in both scenarios
_ALIVE: "WeakSet[Simulator]" = WeakSet()


class Simulator:
    """The one of this process.

    Args:
        scenario: What is simulated.

    Attributes:
        env: bluesky-gym's environment.

    Raises:
        UsageError: There is one in this process.
        MissingExtraError: BlueSky is not installed.
    """

    def __init__(self, scenario: Scenario) -> None:
        """Start it: a second or so; a minute where its data were never unpacked."""
        if len(_ALIVE):
            raise UsageError(
                "this process has a BlueSky simulator.",
                "BlueSky keeps its traffic in module-wide objects: two environments in one "
                "process would fly in one sky.",
                "Give each environment a process: vector_env(factories), or SubprocVecEnv.",
            )
        with ExitStack() as stack:
            stack.enter_context(_quiet())
            self._bluesky = require("bluesky", extra="atc")
            workdir = stack.enter_context(prepared(home()))
            self._module = require(scenario.module, extra="atc")
            stack.enter_context(_working_in(self._bluesky, workdir))
            self.env: Any = getattr(self._module, scenario.name)()
        _ALIVE.add(self)

    def begin(self, physics: Physics) -> None:
        """Forget all that was: traffic, commands that wait, clock and timers."""
        bluesky = self._bluesky
        for name, value in physics.constants().items():
            setattr(self._module, name, value)  # its methods read them at each call
        bluesky.stack.stackbase.Stack.reset()
        bluesky.traf.reset()
        clock = bluesky.core.simtime
        clock.reset()
        clock.setdt(physics.step_s)
        for timer in clock.Timer.timers():
            timer.readynext = True  # as in a new process; its own reset leaves it as it was
        sim = bluesky.sim
        sim.state, sim.simt, sim.simdt = bluesky.INIT, 0.0, physics.step_s

    def flight(self) -> tuple[Flight, int]:
        """Return where all aircraft are, and the index of the one that is controlled."""
        traffic = self._bluesky.traf
        flight = Flight(traffic.lat, traffic.lon, traffic.trk, traffic.gs)
        return flight, traffic.id2idx(_OWN)

    def close(self) -> None:
        """Let another one have the process."""
        _ALIVE.discard(self)


def load() -> None:
    """Import all that a simulator needs, without starting one.

    Raises:
        MissingExtraError: BlueSky is not installed.
    """
    with _quiet():
        for scenario in SCENARIOS.values():
            require(scenario.module, extra="atc")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep its start-up messages, pygame's greeting and their warnings from people."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _working_in(bluesky: ModuleType, workdir: Path) -> Iterator[None]:
    """Let the environments' own call of `bluesky.init` work in `workdir`, and only once."""
    init = bluesky.init

    def init_there(**options: Any) -> None:
        if bluesky.traf is None:
            init(**options, workdir=workdir)

    vars(bluesky)["init"] = init_there
    try:
        yield
    finally:
        vars(bluesky)["init"] = init
