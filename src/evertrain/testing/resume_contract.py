"""What a resume relies on in the things of a program: the suite that they must pass.

Layer: testing. Imports run, checkpoint and core only.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.checkpoint.keep import keep_all
from evertrain.checkpoint.manifest import state_digest
from evertrain.checkpoint.store import Store
from evertrain.checkpoint.when import every
from evertrain.run.run import Run


class ResumeContract:
    """What a resume relies on in whatever you attach: an object with a `state_dict`, say.

    Attributes:
        total: Steps of a whole training.
    """

    total = 6

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        """Provide what builds the thing under test, as a program does at its start. Override it."""
        raise NotImplementedError

    def work(self, thing: Any) -> None:
        """Train `thing` for one step: change all of its state that can change. Override it."""
        raise NotImplementedError

    def test_its_state_changes(self, make: Callable[[], Any], tmp_path: Path) -> None:
        """What `work` does shows in what is saved: else it is not in the state."""
        self._train(make, tmp_path / "run", self.total, save_steps=1)
        store = Store(tmp_path / "run")
        states = [store.load(info.step).manifest for info in store.list()]
        digests = {str(sorted(each.arrays["thing"].items())) for each in states}
        skeletons = {str(each.skeletons["thing"]) for each in states}

        assert len(digests) > 1 or len(skeletons) > 1

    def test_it_resumes_exactly(self, make: Callable[[], Any], tmp_path: Path) -> None:
        """One that is built anew and restored goes on as the first one would have."""
        self._train(make, tmp_path / "whole", self.total)
        self._train(make, tmp_path / "parts", self.total // 2)
        self._train(make, tmp_path / "parts", self.total)

        assert _last(tmp_path / "parts") == _last(tmp_path / "whole")

    def test_saving_has_no_side_effect(self, make: Callable[[], Any], tmp_path: Path) -> None:
        """However often it is saved, it ends the same, and so do the random numbers."""
        self._train(make, tmp_path / "often", self.total, save_steps=1)
        self._train(make, tmp_path / "once", self.total)

        assert _last(tmp_path / "often") == _last(tmp_path / "once")

    def _train(
        self, make: Callable[[], Any], path: Path, total: int, *, save_steps: int = 10**9
    ) -> None:
        rule = every(steps=save_steps)
        with Run(path, total=total, seed=0, save=rule, keep=keep_all()) as run:
            thing = make()
            run.attach(thing=thing)
            for _ in run:
                self.work(thing)


def _last(path: Path) -> str:
    return state_digest(Store(path).load().manifest)
