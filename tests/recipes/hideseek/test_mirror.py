"""What the run keeps so that a path of the folder for other programs leads somewhere.

And what people are told of the folder.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.keep import keep_last, verdicts
from evertrain.recipes.hideseek.config import PpoConfig
from evertrain.recipes.hideseek.folder import Folder
from evertrain.recipes.hideseek.mirror import _add, of_folder
from evertrain.recipes.owner import Owner
from evertrain.recipes.saving import keep_rule
from support import FAST


def kept(steps: list[int], ppo: PpoConfig, *, ended: int = 0, **scores: float) -> set[int]:
    """Return which of these a run keeps; each is better than those before it, but for `scores`.

    At the step `ended` the training was over for a while.
    """
    found = [
        CheckpointInfo(
            step=step,
            kind="final" if step == ended else "step",
            saved_at_s=0.0,
            score=scores.get(f"of_{step}", float(step)),
            path=Path(str(step)),
        )
        for step in steps
    ]
    rule = keep_rule(ppo.keep_last_n, of_folder(ppo))
    return {each.step for each in verdicts(found, rule) if each.is_kept}


def test_new_best_ones_push_out_none_of_the_folder() -> None:
    """The run saves each of them, and would let go of those at each `checkpoint_freq`."""
    ppo = PpoConfig(checkpoint_freq=10, keep_last_n=3)

    assert kept([10, 20, 30, 40, 41, 42, 43], ppo) == {20, 30, 40, 41, 42, 43}


def test_the_best_of_the_folder_stays() -> None:
    """Though the run has a better one, of an iteration at which the folder gets none."""
    ppo = PpoConfig(checkpoint_freq=10, keep_last_n=2)

    assert kept([10, 15, 20, 30, 40], ppo, of_10=50.0, of_15=60.0) == {10, 15, 30, 40}


def test_the_last_of_a_training_that_was_prolonged_stays() -> None:
    """The folder has it, and nothing that is newer there has pushed it out."""
    ppo = PpoConfig(checkpoint_freq=10, keep_last_n=4)
    steps = [20, 30, 37, 40, 50, 51, 52, 53, 54]

    assert kept(steps, ppo, ended=37) == {30, 37, 40, 50, 51, 52, 53, 54}
    assert kept(steps, ppo) == {20, 30, 40, 50, 51, 52, 53, 54}


def test_zero_keeps_all() -> None:
    """As in the folder."""
    assert kept(list(range(1, 30)), PpoConfig(keep_last_n=0)) == set(range(1, 30))


def test_a_checkpoint_is_told_of_if_it_is_there(tmp_path: Path) -> None:
    """Also where the index could not be written; one that is not there is told of as missing."""
    folder = Folder(tmp_path / "checkpoints", keep_last(2), Owner("/run", "cafe"), fs=FAST)
    folder.begin(0)
    index = folder.path / "checkpoint_index.json"
    index.unlink()
    index.mkdir()
    (folder.path / "checkpoint_000020").write_text("mine")
    said: list[str] = []
    run: Any = SimpleNamespace(say=said.append)
    save = lambda place: Path(place, "state").write_bytes(b"x")  # noqa: E731
    algorithm: Any = SimpleNamespace(save_checkpoint=save)
    row = dict.fromkeys(("reward_mean", "seeker_reward", "hider_reward"), 1.0)
    row |= {"episode_len_mean": 25.0, "episodes_completed": 3.0}

    _add(folder, run, algorithm, 10, row)
    assert said[0].startswith(f"evertrain: {folder.path} is not up to date")
    assert said[1:] == [f"Checkpoint saved: {folder.path / 'checkpoint_000010'}"]

    _add(folder, run, algorithm, 20, row)
    assert said[2].startswith(f"evertrain: no checkpoint in {folder.path} for iteration 20: ")
    assert len(said) == 3
    assert (folder.path / "checkpoint_000020").read_text() == "mine"
