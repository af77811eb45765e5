"""`checkpoint` and `restore` of RLlib, without RLlib: which one, and what becomes of others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evertrain import Store
from evertrain.checkpoint.shelf import SUPERSEDED
from evertrain.core.errors import UsageError
from evertrain.integrations.rllib import groups, oldstack, pair


class Algorithm:
    """Learns one number."""

    def __init__(self, iteration: int = 0) -> None:
        """Be after that iteration."""
        self.iteration = iteration
        self.weight = 10.0 * iteration


class Adapter:
    """Takes it and puts it back."""

    def capture(self, thing: Algorithm) -> dict[str, Any]:
        """Return its state."""
        return {"weight": np.array([thing.weight]), "iteration": thing.iteration}

    def mismatches(self, thing: Algorithm, tree: dict[str, Any]) -> list[Any]:
        """Say that all is well."""
        del thing, tree
        return []

    def restore(self, thing: Algorithm, tree: dict[str, Any]) -> None:
        """Put it back."""
        thing.weight, thing.iteration = float(tree["weight"][0]), tree["iteration"]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take it for an algorithm."""
    monkeypatch.setattr(pair, "_ADAPTER", Adapter())
    monkeypatch.setattr(pair, "_require_algorithm", lambda _: None)
    monkeypatch.setattr(pair, "_say_what_begins_anew", lambda _: None)


def _trained(path: Path, iterations: int) -> None:
    for iteration in range(iterations):
        pair.checkpoint(Algorithm(iteration), path)


def _steps(path: Path) -> list[int]:
    return [info.step for info in Store(path).list()]


def test_who_goes_back_saves_on_and_is_resumed_there(tmp_path: Path) -> None:
    """What was saved later lies aside; the latest is that of the new way."""
    _trained(tmp_path, 5)
    back = Algorithm()
    assert pair.restore(back, tmp_path, 2) == 2
    assert _steps(tmp_path) == [0, 1, 2, 3, 4]  # looking alone moves nothing

    back.iteration, back.weight = 3, -1.0
    pair.checkpoint(back, tmp_path)

    assert _steps(tmp_path) == [0, 1, 2, 3]
    aside = sorted(each.name[:9] for each in (Store(tmp_path).path / SUPERSEDED).iterdir())
    assert aside == ["000000003", "000000004"]
    again = Algorithm()
    assert pair.restore(again, tmp_path) == 3
    assert again.weight == -1.0


def test_later_ones_are_set_aside_once_and_there_only(tmp_path: Path) -> None:
    """Another directory, and what the program itself saves behind it, stay."""
    _trained(tmp_path / "here", 4)
    _trained(tmp_path / "there", 4)
    back = Algorithm()
    pair.restore(back, tmp_path / "here", 1)
    back.iteration = 7
    pair.checkpoint(back, tmp_path / "there")
    assert _steps(tmp_path / "there") == [0, 1, 2, 3, 7]
    for back.iteration in (2, 3):
        pair.checkpoint(back, tmp_path / "here")

    assert _steps(tmp_path / "here") == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="already"):
        pair.checkpoint(back, tmp_path / "here")


def test_a_disk_that_refuses_the_save_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way back is not forgotten over it."""
    _trained(tmp_path, 4)
    back = Algorithm()
    pair.restore(back, tmp_path, 1)
    back.iteration = 2
    with monkeypatch.context() as patch:
        patch.setattr(pair, "supersede", _refused)
        with pytest.raises(OSError, match="as planned"):
            pair.checkpoint(back, tmp_path)
    pair.checkpoint(back, tmp_path)

    assert _steps(tmp_path) == [0, 1, 2]


def _refused(*_: Any) -> None:
    raise OSError("as planned")


def test_who_goes_on_from_the_latest_sets_nothing_aside(tmp_path: Path) -> None:
    """What somebody else has saved since is refused, and not moved away."""
    _trained(tmp_path, 2)
    one = Algorithm()
    pair.restore(one, tmp_path)
    pair.checkpoint(Algorithm(2), tmp_path)
    one.iteration = 2

    with pytest.raises(UsageError, match="already"):
        pair.checkpoint(one, tmp_path)
    assert _steps(tmp_path) == [0, 1, 2]


def test_what_was_saved_before_the_first_iteration_is_restored(tmp_path: Path) -> None:
    """Weights that were there from the start are not forgotten."""
    first = Algorithm()
    first.weight = 5.0
    pair.checkpoint(first, tmp_path)
    other = Algorithm()

    assert pair.restore(other, tmp_path) == 0
    assert other.weight == 5.0
    assert pair.restore(Algorithm(), tmp_path / "empty") == 0


def _with_runners(*indices: int) -> Any:
    local = SimpleNamespace(policy_map={})
    manager = SimpleNamespace(actor_ids=lambda: list(indices))
    group = SimpleNamespace(local_env_runner=local, _worker_manager=manager)
    return SimpleNamespace(
        env_runner_group=group, eval_env_runner_group=None, callbacks=SimpleNamespace()
    )


@pytest.mark.parametrize("remember", [groups.remember, oldstack.remember])
def test_another_number_of_runners_is_refused_on_both_stacks(remember: Any) -> None:
    """It is told before anything is put back."""
    tree: dict[str, Any] = {"runners": [[{}, {}, {}]], "weights": {}, "callbacks": []}
    fits = [str(each.problem) for each in remember(_with_runners(1, 2))(tree)]
    problems = [str(each.problem) for each in remember(_with_runners(1))(tree)]

    assert fits == []
    assert problems == ["3 runners there, 2 runners here"]
