"""The Ray that a training uses: one of its own, or a cluster that was there before.

Ray itself tries for twelve minutes to reach a cluster that is not there. Here it is asked
first whether anybody listens, and `entry` lets Ray try for a minute what is no Ray.

Layer: recipes. Imports its siblings, integrations, Ray and core.
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import ray

from evertrain.core.errors import ConfigError
from evertrain.integrations.rllib import keeping_sigterm, local_ray
from evertrain.recipes.hideseek.config import RayConfig

_CONNECT_S: Final = 10.0


@contextmanager
def joined(settings: RayConfig, owner: Path) -> Iterator[None]:
    """Join the cluster, or start one for this training that ends with it.

    Args:
        settings: Which, and how large.
        owner: The run directory; a cluster of its own is ended by the next start, too.

    Raises:
        ConfigError: There is no cluster at that address, or it does not let us join.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    if settings.address is None:
        with local_ray(owner, num_cpus=settings.cpus, logging_level=logging.WARNING):
            yield
        return
    _join(settings.address)
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    try:
        _knock(address)
        # The processes of the cluster hash as whoever started it does: ours are to hash as we do.
        hashing = {"PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "random")}
        with keeping_sigterm():
            ray.init(address, logging_level=logging.WARNING, runtime_env={"env_vars": hashing})
    except (OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split()) or "what listens there does not answer as Ray does"
        raise ConfigError(
            f"there is no Ray cluster at {address!r} that this training can join.",
            f"joining it failed: {said[:500]}",
            "Start one (ray start --head), name its address as `ray status` does, or leave"
            f" --ray-address out to train on this machine.{_token_hint()}",
        ) from error


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
