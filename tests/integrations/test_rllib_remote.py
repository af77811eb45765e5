"""RLlib with runner and learner in processes of their own: exact, counted, missed when gone."""

import os
import signal
import sys
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import ray

from evertrain.integrations.rllib import EnvStepWatchdog, NoStepsError
from evertrain.integrations.rllib.adapter import AlgorithmAdapter
from evertrain.run import rng
from evertrain.testing.plugin_contract import loaded
from integrations import herds

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]
ADAPTER = AlgorithmAdapter()


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    paths = os.pathsep.join(each for each in sys.path if each)
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    yield
    ray.shutdown()


def config() -> Any:
    """Return a training whose environments live in one other process, its optimizer in a third."""
    made = herds.config(herds.Walk).learners(num_learners=1)
    return made.env_runners(num_env_runners=1, sample_timeout_s=20).fault_tolerance(
        delay_between_env_runner_restarts_s=0.1
    )


def test_it_goes_on_exactly_until_it_is_gone() -> None:
    """Episodes, moments and generators are taken from their processes; a death is no success."""
    whole = herds.build(config())
    for _ in range(2):
        whole.train()
    state = deepcopy(loaded({"algorithm": ADAPTER.capture(whole), "rng": rng.capture()}))
    assert state["algorithm"]["environments"] == "attributes"
    expected = [herds.numbers(whole.train()) for _ in range(2)]
    whole.stop()

    other = herds.build(config())
    ADAPTER.restore(other, deepcopy(state["algorithm"]))
    rng.restore(state["rng"], "memory")
    watchdog = EnvStepWatchdog(other, max_empty=1)
    found = [other.train() for _ in range(2)]
    assert [herds.numbers(each) for each in found] == expected
    assert [watchdog.look(each) for each in found] == [herds.BATCH] * 2

    (pid,) = other.env_runner_group.foreach_env_runner(
        lambda _: os.getpid(), local_env_runner=False
    )
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(NoStepsError, match=r"The actor \w+"):
        watchdog.look(other.train())
    assert ADAPTER.capture(other)["runners"][0][1] is None
    other.stop()
