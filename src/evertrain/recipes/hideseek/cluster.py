"""The Ray that a training uses: one of its own, or a cluster that was there before.

Ray itself tries for twelve minutes to reach a cluster that is not there. Here it is asked
first whether anybody listens, and `entry` lets Ray try for a minute what is no Ray.

A cluster that is not there at a first start is a mistake, told at once. One on which the run
has trained before is down for a while, and is waited for.

Layer: recipes. Imports its siblings, integrations, Ray and core.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import ray

from evertrain.core.clock import SYSTEM_CLOCK, Clock, human_duration
from evertrain.core.errors import ConfigError, EnvError
from evertrain.integrations.rllib import keeping_sigterm, local_ray
from evertrain.recipes.hideseek.config import RayConfig

_CONNECT_S: Final = 10.0
_PAUSE_S: Final = 10.0
_WORD_EVERY_S: Final = 600.0

# What Ray and the system raise where no cluster can be joined.
_REFUSALS: Final = (OSError, RuntimeError, ValueError)


@contextmanager
def joined(
    settings: RayConfig,
    owner: Path,
    *,
    say: Callable[[str], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[None]:
    """Join the cluster, or start one for this training that ends with it.

    Args:
        settings: Which, and how large.
        owner: The run directory; a cluster of its own is ended by the next start, too.
        say: Tells people that a cluster which is down is waited for; None waits for none.
        clock: Source of the time.

    Raises:
        ConfigError: There is no cluster at that address, or it does not let us join.
        EnvError: It is down, and stays so for `patience_s`. Another attempt may help.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    if settings.address is None:
        with local_ray(owner, num_cpus=settings.cpus, logging_level=logging.WARNING):
            yield
        return
    try:
        if say is None:
            _join(settings.address)
        else:
            _join_when_up(settings.address, settings.patience_s, say, clock)
    except _REFUSALS as error:
        raise ConfigError(
            f"there is no Ray cluster at {settings.address!r} that this training can join.",
            f"joining it failed: {_said_by(error)}",
            "Start one (ray start --head), name its address as `ray status` does, or leave"
            f" --ray-address out to train on this machine.{_token_hint()}",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _join_when_up(
    address: str, patience_s: float, say: Callable[[str], None], clock: Clock
) -> None:
    """Join the cluster once it answers; tell people at once, and each ten minutes.

    Raises:
        OSError, RuntimeError, ValueError: Waiting cannot help.
        EnvError: It took longer than `patience_s`, seconds.
    """
    began_s, told_s = clock.monotonic_s(), -_WORD_EVERY_S
    while (error := _refusal(address)) is not None:
        if _is_for_good(error):
            raise error
        passed_s = clock.monotonic_s() - began_s
        if passed_s >= patience_s:
            raise EnvError(
                f"the Ray cluster at {address!r} is down.",
                f"it was waited for {human_duration(passed_s)}; the last try: {_said_by(error)}",
                "Start it, and resume the run; ray.patience_s says how long to wait.",
            ) from error
        if passed_s - told_s >= _WORD_EVERY_S:
            told_s = passed_s
            so_far = f"{human_duration(passed_s)} of {human_duration(patience_s)}"
            why = _said_by(error)
            say(f"evertrain: the Ray cluster at {address!r} is down; waiting, {so_far} ({why})")
        clock.wait(threading.Event(), _PAUSE_S)
    if told_s >= 0.0:
        say(f"evertrain: the Ray cluster at {address!r} is back")


def _refusal(address: str) -> Exception | None:
    """Join the cluster, or return why that is not possible now."""
    try:
        _join(address)
    except _REFUSALS as error:
        ray.shutdown()  # of what it has begun
        return error
    return None


def _is_for_good(error: Exception) -> bool:
    """Say whether waiting cannot help: it is there, and another Ray or Python than ours."""
    return isinstance(error, ValueError) or "mismatch" in str(error)


def _join(address: str) -> None:
    """Join the cluster.

    Raises:
        OSError, RuntimeError, ValueError: That failed.
    """
    _knock(address)
    # The processes of the cluster hash as whoever started it does: ours are to hash as we do.
    hashing = {"PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "random")}
    with keeping_sigterm():
        ray.init(address, logging_level=logging.WARNING, runtime_env={"env_vars": hashing})


def _said_by(error: Exception) -> str:
    """Return the error's own words on one line, however long they are."""
    said = " ".join(str(error).split()) or "what listens there does not answer as Ray does"
    return said[:500]


def _token_hint() -> str:
    """Return what to try with a cluster that asks for a token.

    Since 2.60 `ray start` asks for one where one lies, but who names an address sends none
    unless told to; all that `ray.init` says then is that it failed to connect.
    """
    if "RAY_AUTH_MODE" in os.environ or not (Path.home() / ".ray" / "auth_token").exists():
        return ""
    return " If the cluster asks for a token (Ray 2.60 and newer), set RAY_AUTH_MODE=token."


def _knock(address: str) -> None:
    """See whether anybody listens at HOST:PORT, which takes no time if nobody does.

    Raises:
        OSError: Nobody does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:  # "auto" and the like are for Ray to find
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
