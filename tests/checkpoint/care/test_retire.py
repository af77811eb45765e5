"""A whole run goes in one step, and only when nobody works on it."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from evertrain.checkpoint import Store
from evertrain.checkpoint.care.retire import RUNS_TRASH, remove_run
from evertrain.checkpoint.commit import Tools
from evertrain.cli.ls import find_runs
from evertrain.core import lock, proc
from evertrain.core.errors import LockedError
from evertrain.core.rundir import RunDir
from evertrain.testing import CutFs, FakeClock, PowerCut
from runs import trained_run

NOW_S = 1_700_000_000.0


def test_to_the_trash_and_back(tmp_path: Path) -> None:
    """It lies beside the others, is not listed, and a rename brings it back."""
    run_dir = trained_run(tmp_path / "runs" / "r")
    where = remove_run(run_dir, tools=Tools(clock=FakeClock(NOW_S)))

    assert where == tmp_path / "runs" / RUNS_TRASH / "r-until-20231115T221320Z"
    assert not run_dir.path.exists()
    assert list(find_runs(tmp_path / "runs")) == []
    where.rename(run_dir.path)
    assert Store(run_dir.path).verify() == []


def test_grace_and_what_is_due(tmp_path: Path) -> None:
    """Without grace it is deleted; the next removal takes what is due with it."""
    clock = FakeClock(NOW_S)
    remove_run(trained_run(tmp_path / "a"), tools=Tools(clock=clock))
    clock.advance(86_400)
    remove_run(trained_run(tmp_path / "b"), grace_s=0, tools=Tools(clock=clock))
    assert list((tmp_path / RUNS_TRASH).iterdir()) == []


@pytest.mark.parametrize("name", ["lock", "supervisor.lock", "shim.lock"])
def test_not_under_a_living_process(tmp_path: Path, name: str) -> None:
    """Neither trainer, nor supervisor, nor shim loses its ground."""
    run_dir = trained_run(tmp_path / "r")
    with lock.take(run_dir.path / name), pytest.raises(LockedError, match="in use"):
        remove_run(run_dir)
    remove_run(run_dir)


def test_an_owner_elsewhere_may_live(tmp_path: Path) -> None:
    """A lease of another machine says nothing about its death."""
    run_dir = trained_run(tmp_path / "r")
    lock.take(run_dir.lock).release()
    text = run_dir.lock.read_text()
    run_dir.lock.write_text(text.replace(proc.host(), "elsewhere"))
    remove_run(run_dir)  # it was given back

    run_dir = trained_run(tmp_path / "s")
    with lock.take(run_dir.lock):
        text = run_dir.lock.read_text()
        run_dir.lock.write_text(text.replace(proc.host(), "elsewhere"))
    with pytest.raises(LockedError, match="elsewhere"):
        remove_run(run_dir)


def test_sigkill_at_every_operation(tmp_path: Path) -> None:
    """Killed anywhere, the run is whole in its place or in the trash; without grace, or gone."""
    template = trained_run(tmp_path / "template")
    for grace_s in (0, 60):
        counter = CutFs()
        shutil.copytree(template.path, tmp_path / "count" / "r", symlinks=True)
        remove_run(RunDir(tmp_path / "count" / "r"), grace_s=grace_s, tools=Tools(counter))
        shutil.rmtree(tmp_path / "count")
        for cut in range(counter.operations):
            home = tmp_path / f"{grace_s}-{cut}"
            shutil.copytree(template.path, home / "r", symlinks=True)
            with suppress(PowerCut):
                remove_run(RunDir(home / "r"), grace_s=grace_s, tools=Tools(CutFs(cut_before=cut)))
            places = [home / "r", *(home / RUNS_TRASH).glob("*")]
            [found] = [each for each in places if each.exists()]
            assert Store(found).verify() == []
            assert len(Store(found).list()) == 3
