"""Single-line faults in the durable parts, each with the test that must find it.

    python tests/mutants/mutants.py [NAME ...]

Each is put into a copy of the sources, and its test is run on the copy. Prints a
table; the exit code is 1 if a fault was not found.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "src"


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        name: What is wrong with it, in words.
        file: Where, below `src/evertrain`.
        line: The line as it is, without its indentation; it is there once.
        fault: What stands there instead.
        test: The test that must fail then, below `tests`.
    """

    name: str
    file: str
    line: str
    fault: str
    test: str


MUTANTS = (
    Mutant(
        "new files are not synced",
        "checkpoint/files.py",
        "fs.sync_file(tmp / file)",
        "pass",
        "checkpoint/test_commit.py::test_power_cut_at_every_operation",
    ),
    Mutant(
        "the manifest is not synced",
        "checkpoint/commit.py",
        "fs.sync_file(path)",
        "pass",
        "checkpoint/test_commit.py::test_power_cut_at_every_operation",
    ),
    Mutant(
        "renamed before the names inside are durable",
        "checkpoint/commit.py",
        "fs.sync_dir(tmp)",
        "pass",
        "checkpoint/test_commit.py::test_power_cut_at_every_operation",
    ),
    Mutant(
        "returns before the name is durable",
        "checkpoint/commit.py",
        "fs.sync_dir(target.parent)",
        "pass",
        "checkpoint/test_commit.py::test_return_means_durable_also_without_links",
    ),
    Mutant(
        "a process that lost the run commits",
        "checkpoint/commit.py",
        "about.fence()",
        "pass",
        "checkpoint/test_commit.py::test_fenced_save_leaves_nothing",
    ),
    Mutant(
        "digests are not compared at a load",
        "checkpoint/check.py",
        "if digest != piece.blake3:",
        "if not digest:",
        "checkpoint/test_faults.py::test_every_flipped_bit_is_found",
    ),
    Mutant(
        "lengths are not compared at a load",
        "checkpoint/check.py",
        "if size_bytes != entry.bytes:",
        "if size_bytes < entry.bytes:",
        "checkpoint/test_faults.py::test_every_changed_length_is_found",
    ),
    Mutant(
        "retention trusts a newest one that is not whole",
        "checkpoint/store.py",
        'guarded = self._newest_whole(found) | dict.fromkeys(protect, "resume base")',
        'guarded = dict.fromkeys(protect, "resume base")',
        "checkpoint/test_store.py::test_prune_trusts_no_broken_newest",
    ),
    Mutant(
        "the newest may be pruned",
        "checkpoint/keep.py",
        '"newest" if info is ordered[-1] else None,',
        "None,",
        "checkpoint/test_keep.py::test_newest_and_pinned_always_survive",
    ),
    Mutant(
        "metrics are not synced before their checkpoint",
        "run/saver.py",
        "self._guard.with_room(flight.save.step, self.rows.sync)",
        "pass",
        "run/test_background.py::test_rows_are_durable_before_their_checkpoint",
    ),
    Mutant(
        "a torn line is not ended before the next",
        "core/journal.py",
        'data = b"\\n" + data',
        "pass",
        "core/test_journal.py::test_a_torn_tail_costs_one_line",
    ),
    Mutant(
        "the snapshot is not copied",
        "checkpoint/snapshot.py",
        "room[...] = data",
        "pass",
        "checkpoint/test_snapshot.py::test_what_is_overwritten_after_begin_is_saved_as_it_was",
    ),
    Mutant(
        "forked workers have a hole where the copy is",
        "checkpoint/arena.py",
        "memory.madvise(each)",
        "memory.madvise(mmap.MADV_DONTFORK)",
        "checkpoint/test_snapshot.py::test_a_forked_child_may_let_go_of_what_it_does_not_have",
    ),
    Mutant(
        "a file that was replaced is shared",
        "checkpoint/files.py",
        "if stamp_of(found) != base.stamps.get(file):",
        "if stamp_of(found) is None:",
        "checkpoint/test_sharing.py::test_a_file_of_the_base_that_is_not_what_it_was_is_not_shared",
    ),
    Mutant(
        "the generators do not come back",
        "run/capture.py",
        "rng.restore(trees.get(RNG, {}), where)",
        "pass",
        "run/test_rng.py::test_a_resume_continues_the_stream",
    ),
)


def broken_copy(mutant: Mutant, place: Path) -> Path:
    """Copy the sources to `place`, with the fault in them; return what to put on the path."""
    shutil.copytree(SOURCES, place, ignore=shutil.ignore_patterns("__pycache__"))
    file = place / "evertrain" / mutant.file
    lines = file.read_text().splitlines(keepends=True)
    (number,) = places_of(mutant, lines)
    lines[number] = lines[number].replace(mutant.line, mutant.fault)
    file.write_text("".join(lines))
    return place


def places_of(mutant: Mutant, lines: list[str]) -> list[int]:
    """Return where the line stands."""
    return [number for number, line in enumerate(lines) if line.strip() == mutant.line]


def is_found(mutant: Mutant) -> bool:
    """Say whether the test fails on the copy with the fault. Raises if it cannot be run."""
    with tempfile.TemporaryDirectory() as place:
        path = broken_copy(mutant, Path(place) / "src")
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", "--no-header"),
                REPOSITORY / "tests" / mutant.test,
            ],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode not in {0, 1}:
        raise RuntimeError(f"{mutant.name}: {ended.stdout}{ended.stderr}")
    return ended.returncode == 1


def main(names: list[str]) -> int:
    """Print what was found."""
    chosen = [each for each in MUTANTS if not names or each.name in names]
    missed = 0
    for each in chosen:
        found = is_found(each)
        missed += not found
        print(f"{'found' if found else 'NOT FOUND':9}  {each.name}: {each.test}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} faults were found")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
