"""The store: what is saved is loaded, listed, ranked, pinned and pruned as promised."""

import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint import (
    About,
    Store,
    catalog,
    keep_all,
    keep_any,
    keep_best,
    keep_last,
    trash,
)
from evertrain.checkpoint import store as module
from evertrain.checkpoint.manifest import state_digest
from evertrain.core.errors import (
    ConfigError,
    CorruptError,
    FormatError,
    NotFoundError,
    StateError,
    UsageError,
)
from evertrain.testing import FakeClock


def filled(path: Path, *steps: int, **more: Any) -> Store:
    """Return a store with a small checkpoint of each of `steps`; the score is the step."""
    store = Store(path, **more)
    for step in steps:
        store.save(step, {"a": {"x": np.full(3, step)}}, about=About(score=float(step)))
    return store


def numpy_int(value: int) -> Any:
    """Return a number as numpy counts."""
    return np.int64(value)


def damage(path: Path, data: bytes = b"{}") -> None:
    """Overwrite a committed file."""
    path.chmod(0o644)
    path.write_bytes(data)


def test_save_and_load(tmp_path: Path) -> None:
    """What goes in comes out, with everything said about it."""
    clock = FakeClock(now_s=1_700_000_000.25)
    about = About(
        kind="stage",
        unit="episode",
        metrics={"reward": 3.5, "loss": float("nan"), "top": float("inf")},
        metric_name="reward",
        metric_value=3.5,
        score=3.5,
        is_best=True,
        stage="warm-up",
        stage_index=1,
        attempt=4,
        run_id="abc",
        parent=200,
    )
    store = Store(tmp_path / "ckpts", clock=clock)
    state: dict[str, Any] = {
        "agent": {"w": np.arange(6.0).reshape(2, 3), "lr": 0.1},
        "epsilon": 0.5,
        "none": None,
    }

    info = store.save(250, state, about=about)
    loaded = store.load()

    assert loaded.info == info == store.get(250)
    assert loaded.state["epsilon"] == 0.5
    assert loaded.state["none"] is None
    np.testing.assert_array_equal(loaded.state["agent"]["w"], state["agent"]["w"])
    assert (info.step, info.kind, info.score, info.attempt) == (250, "stage", 3.5, 4)
    assert (info.stage, info.stage_index, info.saved_at_s) == ("warm-up", 1, 1_700_000_000.25)
    assert loaded.manifest.saved_at == "2023-11-14T22:13:20.250Z"
    assert loaded.manifest.metrics["top"] == float("inf")
    assert np.isnan(loaded.manifest.metrics["loss"])
    assert (loaded.manifest.run_id, loaded.manifest.parent) == ("abc", 200)
    assert loaded.manifest.versions.keys() >= {"python", "evertrain", "numpy"}
    assert info.size_bytes == sum(p.stat().st_size for p in info.path.iterdir())
    people = json.loads((info.path / "metadata.json").read_text())
    assert people["episode"] == people["step"] == 250
    assert (people["is_best"], people["metric_value"]) == (True, 3.5)
    assert people["metrics"] == {"reward": 3.5, "loss": "NaN", "top": "Infinity"}


def test_loaded_arrays_are_writable_and_apart(tmp_path: Path) -> None:
    """Each array has memory of its own: writing to one, or keeping one, touches no other."""
    store = Store(tmp_path)
    store.save(1, {"a": {"x": np.zeros(4), "y": np.zeros(4)}})
    found = store.load().state["a"]
    found["x"] += 1
    assert found["y"].tolist() == [0, 0, 0, 0]
    assert not np.shares_memory(found["x"], found["y"])


def test_load_some_names(tmp_path: Path) -> None:
    """Objects that are not asked for are not even opened."""
    store = Store(tmp_path)
    store.save(1, {"policy": np.arange(3), "buffer": np.zeros(1000)})
    (tmp_path / "000000001" / "buffer.safetensors").unlink()
    assert store.load(names=["policy"]).state.keys() == {"policy"}
    with pytest.raises(CorruptError, match=r"buffer\.safetensors is damaged: it is missing"):
        store.load()
    with pytest.raises(NotFoundError, match="'nothing'"):
        store.load(names=["nothing", "policy"])


def test_which(tmp_path: Path) -> None:
    """A checkpoint goes by latest, best, or its step, as a number or as its digits."""
    store = Store(tmp_path)
    for step, score in ((10, 1.0), (20, 3.0), (30, float("nan")), (40, None)):
        store.save(step, {"s": step}, about=About(score=score))
    assert store.load("latest").state == {"s": 40}
    assert store.load("best").state == {"s": 20}
    assert store.load(10).state == store.load("10").state == {"s": 10}
    assert store.load(numpy_int(30)).state == {"s": 30}
    for bad in ("newest", "1e3", "-1", True, ""):
        with pytest.raises(UsageError):
            store.load(bad)
    for missing in (11, -10, "11"):
        with pytest.raises(NotFoundError, match="steps 10, 20, 30, 40"):
            store.load(missing)


def test_empty_store(tmp_path: Path) -> None:
    """Reading where nothing is creates nothing and says so."""
    store = Store(tmp_path / "none")
    assert (store.list(), store.latest(), store.best(), store.verify()) == ([], None, None, [])
    assert store.prune(keep_last(1)) == []
    assert store.recover() == []
    for which in ("latest", "best", 3):
        with pytest.raises(NotFoundError, match="no checkpoint"):
            store.load(which)
    assert not (tmp_path / "none").exists()


def test_inside_a_run(tmp_path: Path) -> None:
    """Given a run directory, the store is its checkpoints; given any other, it is that."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    assert Store(tmp_path / "run").path == tmp_path / "run" / "checkpoints"
    assert Store(str(tmp_path / "plain")).path == tmp_path / "plain"


@pytest.mark.parametrize("step", [-1, True, 1.0, "3", None, 10**19])
def test_bad_steps(tmp_path: Path, step: Any) -> None:
    """A step is a whole number, 0 or more."""
    with pytest.raises(UsageError, match="is no step"):
        Store(tmp_path).save(step, {})


def test_steps_of_any_length(tmp_path: Path) -> None:
    """Steps beyond nine digits sort by number, and numpy's integers are steps."""
    store = Store(tmp_path)
    for step in (2, numpy_int(10**9), 10**12, 0, 999_999_999):
        store.save(step, {"s": 1})
    assert [info.step for info in store.list()] == [0, 2, 999_999_999, 10**9, 10**12]


def test_never_overwrites(tmp_path: Path) -> None:
    """A step that is taken stays as it is."""
    store = filled(tmp_path, 5)
    with pytest.raises(UsageError, match="already"):
        store.save(5, {"other": 1})
    assert store.load(5).state.keys() == {"a"}


def test_refused_state_leaves_nothing(tmp_path: Path) -> None:
    """State that cannot be stored is refused before the disk is touched."""
    store = Store(tmp_path / "s")
    with pytest.raises(StateError, match=r"agent\.hook"):
        store.save(1, {"agent": {"hook": print}})
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("value", [10**400, "high", None, 1j])
def test_refused_metrics_leave_nothing(tmp_path: Path, value: Any) -> None:
    """A metric that is no float is named, and nothing is committed."""
    store = Store(tmp_path / "c")
    with pytest.raises(UsageError, match="reward"):
        store.save(1, {}, about=About(metrics={"reward": value}))
    assert store.list() == []


def test_names_become_files(tmp_path: Path) -> None:
    """Any name of an object gets a harmless file of its own."""
    names = ["a/b", "A/B", "a_b", "..", "../../evil", "é", "", "manifest", "-rf", "n" * 300, "con"]
    store = Store(tmp_path)
    store.save(1, {name: np.full(2, number) for number, name in enumerate(names)})
    found = store.load().state
    assert [found[name].tolist() for name in names] == [[n, n] for n in range(len(names))]
    files = [path.name for path in (tmp_path / "000000001").iterdir()]
    assert len({name.casefold() for name in files}) == len(names) + 2
    assert all(name[0] not in "-." and len(name) < 130 for name in files)
    assert store.verify() == []


def test_own_ranking(tmp_path: Path) -> None:
    """With best=, the store scores what it is given; a tie goes to the later, NaN to nobody."""
    store = Store(tmp_path, best="min:loss")
    losses = [3.0, 2.0, float("nan"), None, 2.0, 5.0]
    for step, loss in enumerate(losses):
        store.save(step, {}, about=About(metrics={} if loss is None else {"loss": loss}))
    best = store.best()
    assert best is not None
    assert (best.step, best.score) == (4, -2.0)
    flags = [store.load(step).manifest.is_best for step in range(6)]
    assert flags == [True, True, False, False, True, False]
    assert store.load(0).manifest.metric_name == "loss"
    assert store.load(0).manifest.metric_value == 3.0
    with pytest.raises(UsageError, match="what is better"):
        Store(tmp_path, best="loss")


def test_links_and_index(tmp_path: Path) -> None:
    """The links and the listing follow every save, pin and prune."""
    store = filled(tmp_path, 3, 1)
    store.pin(1)
    index = json.loads((tmp_path / "index.json").read_text())
    assert [row["step"] for row in index["checkpoints"]] == [1, 3]
    assert [row["is_pinned"] for row in index["checkpoints"]] == [True, False]
    assert [row["is_best"] for row in index["checkpoints"]] == [False, True]
    assert str((tmp_path / "latest").readlink()) == "000000003"
    assert (tmp_path / "best" / "manifest.json").exists()


def test_recover_repairs(tmp_path: Path) -> None:
    """Lost links, a garbled index and left-over trash are put right; so is an emptied store."""
    store = filled(tmp_path, 1, 2)
    (tmp_path / "latest").unlink()
    (tmp_path / "best").unlink()
    (tmp_path / "best").symlink_to("nowhere")
    damage(tmp_path / "index.json", b"\xff")
    (tmp_path / "trash" / "000000000").mkdir(parents=True)
    store.recover()
    assert (
        str((tmp_path / "latest").readlink()) == str((tmp_path / "best").readlink()) == "000000002"
    )
    assert json.loads((tmp_path / "index.json").read_text())["format"] == 1
    assert not list((tmp_path / "trash").iterdir())
    for name in ("000000001", "000000002"):
        (tmp_path / name).rename(tmp_path.parent / f"{tmp_path.name}-{name}")
    store.recover()
    assert not (tmp_path / "latest").is_symlink()
    assert not (tmp_path / "best").is_symlink()
    assert json.loads((tmp_path / "index.json").read_text())["checkpoints"] == []


def test_prune(tmp_path: Path) -> None:
    """What the rule keeps, what is pinned or protected, and the newest stay; the rest goes."""
    store = filled(tmp_path, *range(1, 9))
    store.pin(2)
    planned = store.prune(keep_any(keep_last(2), keep_best(1)), protect=[4], dry_run=True)
    assert [info.step for info in store.list()] == list(range(1, 9))
    done = store.prune(keep_any(keep_last(2), keep_best(1)), protect=[4])
    assert planned == done
    assert [info.step for info in store.list()] == [2, 4, 7, 8]
    assert {each.step: each.reasons for each in done if each.is_kept} == {
        2: ("pinned",),
        4: ("resume base",),
        7: ("last 2 of 2",),
        8: ("last 1 of 2, best 1", "newest"),
    }
    assert store.verify() == []
    store.unpin(2)
    store.prune(keep_last(1))
    assert [info.step for info in store.list()] == [8]


def test_prune_trusts_no_broken_newest(tmp_path: Path) -> None:
    """While the newest lacks a file, the newest whole one stays too."""
    store = filled(tmp_path, 1, 2, 3)
    (tmp_path / "000000003" / "a.safetensors").unlink()
    verdicts = store.prune(keep_last(1))
    assert [each.step for each in verdicts if each.is_kept] == [2, 3]
    assert verdicts[1].reasons == ("newest whole",)


def test_prune_leaves_the_unreadable(tmp_path: Path) -> None:
    """A damaged checkpoint is evidence: pruning does not delete it."""
    store = filled(tmp_path, 1, 2, 3)
    damage(tmp_path / "000000001" / "manifest.json")
    store.prune(keep_last(1))
    assert sorted(p.name for p in tmp_path.glob("0*")) == ["000000001", "000000003"]


def test_pins(tmp_path: Path) -> None:
    """A pin is a file beside the checkpoints: it survives the process and names what exists."""
    filled(tmp_path, 1, 2).pin(1)
    store = Store(tmp_path)
    assert [info.is_pinned for info in store.list()] == [True, False]
    assert store.load(1).info.is_pinned
    assert [p.name for p in (tmp_path / "pins").iterdir()] == ["000000001"]
    store.unpin(1)
    store.unpin(1)
    assert not store.get(1).is_pinned
    for call in (store.pin, store.unpin):
        with pytest.raises(NotFoundError):
            call(7)


def test_damage_is_left_out_of_the_list(tmp_path: Path) -> None:
    """Listings show what can be read; get and load say what is wrong with the rest."""
    store = filled(tmp_path, 1, 2, 3)
    damage(tmp_path / "000000003" / "manifest.json")
    (tmp_path / "000000004").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "12").mkdir()
    (tmp_path / "000000009").write_text("a file")
    for each in (store, Store(tmp_path)):
        assert [info.step for info in each.list()] == [1, 2]
        assert each.load().info.step == 2
    with pytest.raises((CorruptError, FormatError)):
        store.get(3)
    with pytest.raises(CorruptError, match="missing"):
        store.load(4)
    with pytest.raises(NotFoundError):
        store.get(9)


def test_wrong_name(tmp_path: Path) -> None:
    """A checkpoint renamed to another step is not taken for that step."""
    store = filled(tmp_path, 1, 2)
    (tmp_path / "000000002").rename(tmp_path / "000000007")
    assert [info.step for info in store.list()] == [1]
    with pytest.raises(CorruptError, match="of step 2"):
        store.load(7)
    assert [fault.problem for fault in store.verify(7)] == ["it is of step 2, under another name"]


def test_list_sees_other_writers(tmp_path: Path) -> None:
    """A listing that was read before shows what others saved, removed or replaced since."""
    reader, writer = filled(tmp_path, 1, 2), Store(tmp_path)
    assert len(reader.list()) == 2
    writer.prune(keep_last(1))
    writer.save(3, {}, about=About(attempt=2))
    assert [info.step for info in reader.list()] == [2, 3]
    (tmp_path / "000000003").rename(tmp_path.parent / f"{tmp_path.name}-old")
    writer.save(3, {}, about=About(attempt=3))
    assert reader.list()[-1].attempt == 3


def test_manifests_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving the hundredth checkpoint reads none: neither the other ninety-nine nor its own."""
    store = filled(tmp_path, *range(5))
    reads: list[Path] = []
    real = vars(catalog)["_read"]

    def recorded(path: Path) -> object:
        reads.append(path)
        return real(path)

    monkeypatch.setattr(catalog, "_read", recorded)
    store.save(7, {})
    store.list()
    store.prune(keep_all())
    assert reads == []


def test_state_digest(tmp_path: Path) -> None:
    """Equal state has an equal digest whenever and wherever it was saved; nothing else has."""
    state: dict[str, Any] = {
        "a": {"x": np.arange(3), "y": [1.0, {"z": 2}]},
        "clock": {"elapsed_s": 3.0},
    }
    one = Store(tmp_path / "one", clock=FakeClock(1.0))
    two = Store(tmp_path / "two", clock=FakeClock(2.0))
    one.save(1, state)
    two.save(9, {**state, "clock": {"elapsed_s": 4.0}}, about=About(attempt=7, score=1.0))
    digests = [state_digest(s.load().manifest) for s in (one, two)]
    changed: list[dict[str, Any]] = [
        {"a": {"x": np.arange(3) + 1, "y": [1.0, {"z": 2}]}},
        {"a": {"x": np.arange(3), "y": [1.0, {"z": 3}]}},
        {"a": {"x": np.arange(3), "y": [1, {"z": 2}]}},
        {"a": {"y": [1.0, {"z": 2}], "x": np.arange(3)}},
        {"a": {"x": np.arange(3).astype(np.uint64), "y": [1.0, {"z": 2}]}},
        {"b": state["a"]},
    ]
    for step, other in enumerate(changed, start=20):
        two.save(step, other)
        digests.append(state_digest(two.load(step).manifest))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 1 + len(changed)


def test_pruned_under_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that vanishes between listing and reading is no damage: the next one is read."""
    reader, writer = filled(tmp_path, 1), Store(tmp_path)
    real = vars(module)["read_checkpoint"]

    def meanwhile(path: Path, **more: Any) -> Any:
        if not (tmp_path / "000000002").exists():
            writer.save(2, {"a": 2})
            writer.prune(keep_last(1))
        return real(path, **more)

    monkeypatch.setattr(module, "read_checkpoint", meanwhile)
    assert reader.load("latest").info.step == 2
    with pytest.raises(NotFoundError):
        reader.load(1)


def test_what_is_pinned_while_others_go_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention works beside the loop, where somebody asks to keep what it has just given up."""
    store = Store(tmp_path)
    for step in (1, 2, 3):
        store.save(step, {"a": step})
    pinning = threading.Thread(target=store.pin, args=(1,))
    real = trash.discard

    def late(*args: Any, **more: Any) -> Any:
        pinning.start()
        pinning.join(0.2)  # it waits for what is under way, and then says what is true
        return real(*args, **more)

    monkeypatch.setattr(trash, "discard", late)
    refused: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: refused.append(args.exc_type))
    store.prune(keep_last(2))
    pinning.join()

    is_there = (tmp_path / "000000001").exists()
    assert is_there == any(info.is_pinned for info in store.list())
    assert is_there or refused == [NotFoundError]


def test_pin_does_not_wait_for_a_save(tmp_path: Path) -> None:
    """A pin at a step boundary goes through while the writer thread is saving."""
    store = filled(tmp_path, 1)
    inside, go = threading.Event(), threading.Event()

    def fence() -> None:
        inside.set()
        assert go.wait(20)

    writer = threading.Thread(target=lambda: store.save(2, {}, about=About(fence=fence)))
    writer.start()
    assert inside.wait(20)
    store.pin(1)
    assert [info.is_pinned for info in store.list()] == [True]
    go.set()
    writer.join()
    assert [info.step for info in store.list()] == [1, 2]


@pytest.mark.parametrize("state", [[1, 2], 5, None, "agent", {math.nan: 1}, {1: 2}, {"\ud800": 1}])
def test_what_has_no_names_is_not_saved(tmp_path: Path, state: Any) -> None:
    """A state is a mapping of names, and anything else is told before the disk is touched."""
    with pytest.raises(UsageError, match="found again by its name"):
        Store(tmp_path / "new").save(1, state)

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("step", [1.5, "x", None, True, [1]])
@pytest.mark.parametrize("method", ["pin", "unpin", "get", "load"])
def test_what_is_no_step_names_no_checkpoint(tmp_path: Path, method: str, step: Any) -> None:
    """A call that cannot mean anything is told as one."""
    store = Store(tmp_path)
    store.save(1, {"a": 1})

    with pytest.raises(UsageError, match="names no checkpoint"):
        getattr(store, method)(step)


def test_numpys_integers_are_steps(tmp_path: Path) -> None:
    """They come out of every loop that counts with arrays."""
    store = Store(tmp_path)
    store.save(1, {"a": 1})
    store.pin(numpy_int(1))

    assert store.get(1).is_pinned


@pytest.mark.parametrize("keep", [None, 5, "keep_last"])
def test_what_is_no_rule_prunes_nothing(tmp_path: Path, keep: Any) -> None:
    """It is told, and everything stays."""
    store = Store(tmp_path)
    store.save(1, {"a": 1})

    with pytest.raises(ConfigError, match="is no rule"):
        store.prune(keep)
    assert len(store.list()) == 1


@pytest.mark.parametrize("path", [None, 5, "", b"runs", "a\0b"])
def test_a_store_lives_somewhere(path: Any) -> None:
    """What is no path is told as such."""
    with pytest.raises(UsageError, match="is nowhere"):
        Store(path)


def test_a_file_is_no_empty_store(tmp_path: Path) -> None:
    """It must not pass for a directory without checkpoints."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(ConfigError, match="is no directory"):
        Store(tmp_path / "file")
