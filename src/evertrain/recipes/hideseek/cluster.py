"""The Ray that a training uses: one of its own, or a cluster that was there before.

Ray itself tries for twelve minutes to reach a cluster that is not there. Here it is asked
first whether anybody listens, and `entry` lets Ray try for a minute what is no Ray.

A cluster that is not there is a mistake, told at once; one that this run has joined before is
down for a while, and waited for.

Layer: recipes. Imports its siblings, integrations, Ray and core.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import ray

from evertrain.core.clock import SYSTEM_CLOCK, Clock, human_duration
from evertrain.core.document import NOTE_BYTES
from evertrain.core.errors import ConfigError, EnvError
from evertrain.core.fs import LOCAL_FS, write_atomic
from evertrain.core.regular import read_regular
from evertrain.integrations.rllib import keeping_sigterm, local_ray
from evertrain.recipes.hideseek.config import RayConfig

_CONNECT_S: Final = 10.0
_PAUSE_S: Final = 5.0
_WORD_EVERY_S: Final = 600.0

# What Ray and the system raise where no cluster can be joined.
_REFUSALS: Final = (OSError, RuntimeError, ValueError)
# In the run directory: the address of the cluster that it has joined last.
_JOINED: Final = "ray-address.txt"


class Training(Protocol):
    """What joining needs of a run."""

    @property
    def path(self) -> Path:
        """Its directory; a Ray of its own that it leaves behind is ended by the next start."""

    def say(self, text: str) -> None:
        """Tell people."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Tell whoever watches what takes so long."""

    def stop_if_asked(self) -> bool:
        """End here if that was asked for."""


@contextmanager
def joined(
    settings: RayConfig, training: Training, *, clock: Clock = SYSTEM_CLOCK
) -> Iterator[None]:
    """Join the cluster, or start one for this training that ends with it.

    Args:
        settings: Which, and how large.
        training: Who joins. A cluster that it has joined before is waited for.
        clock: Source of the time.

    Raises:
        ConfigError: There is no cluster at that address, or it does not let us join.
        EnvError: It is down, and stays so for `patience_s`. Another attempt may help.
        Stopped: A stop was asked for meanwhile.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    if settings.address is None:
        with local_ray(training.path, num_cpus=settings.cpus, logging_level=logging.WARNING):
            yield
        return
    try:
        if _has_joined(training.path, settings.address):
            _join_when_up(settings.address, settings.patience_s, training, clock)
        else:
            _join(settings.address)
    except _REFUSALS as error:
        raise ConfigError(
            f"there is no Ray cluster at {settings.address!r} that this training can join.",
            f"joining it failed: {_said_by(error)}",
            "Start one (ray start --head), name its address as `ray status` does, or leave"
            f" --ray-address out to train on this machine.{_token_hint()}",
        ) from error
    try:
        write_atomic(training.path / _JOINED, settings.address.encode(), fs=LOCAL_FS)
        yield
    finally:
        ray.shutdown()


def _has_joined(path: Path, address: str) -> bool:
    """Say whether this run has joined that cluster last; another one was never there, perhaps."""
    with suppress(OSError):
        return read_regular(path / _JOINED, NOTE_BYTES) == address.encode()
    return False


def _join_when_up(address: str, patience_s: float, training: Training, clock: Clock) -> None:
    """Join the cluster once it answers; tell people at once, and each ten minutes.

    Raises:
        OSError, RuntimeError, ValueError: Waiting cannot help.
        EnvError: It took longer than `patience_s`, seconds.
        Stopped: A stop was asked for meanwhile.
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
            training.say(
                f"evertrain: the Ray cluster at {address!r} is down; waiting, {so_far} ({why})"
            )
        with training.phase("wait"):
            clock.wait(threading.Event(), _PAUSE_S)
        training.stop_if_asked()
    if told_s >= 0.0:
        training.say(f"evertrain: the Ray cluster at {address!r} is back")


def _refusal(address: str) -> Exception | None:
    """Join the cluster, or return why that is not possible now."""
    try:
        _join(address)
    except _REFUSALS as error:
        ray.shutdown()  # of what it has begun
        return error
    return None


def _is_for_good(error: Exception) -> bool:
    """Say whether waiting cannot help: it is there, and another Ray or Python than ours.

    Whatever else it is, it has worked at this address before: a head that has just begun lacks
    files, of which Ray says so by other errors.
    """
    return "mismatch" in str(error)


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
