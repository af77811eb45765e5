"""`evertrain.supervise.ladder.blame`: which crashes a setting can cause."""

import pytest

from evertrain.supervise.attempt import Outcome
from evertrain.supervise.cause import Tail
from evertrain.supervise.diagnosis.kind import Diagnosis
from evertrain.supervise.end import End
from evertrain.supervise.ladder.blame import is_config_error, is_of_the_setting
from evertrain.supervise.report import Record

HUNG = Diagnosis(kind="hang", summary="")


def record(code: int | None, exception: str | None = None, **known: object) -> Record:
    """Return an attempt that ended with `code` after an hour."""
    outcome = Outcome(code=code, seconds=3600.0, stop_requested=False)
    end = End(code=code, **known)  # type: ignore[arg-type]
    return Record(
        attempt=1,
        began_at_s=0.0,
        outcome=outcome,
        end=end,
        steps=(0, 1),
        resumed_from=None,
        tail=Tail(exception=exception),
    )


@pytest.mark.parametrize(
    ("code", "exception", "known", "counts"),
    [
        (-11, None, {}, True),  # SIGSEGV
        (139, None, {}, True),  # the same, from a shell
        (-9, None, {}, True),  # most often the kernel's OOM killer
        (1, "TimeoutError: the simulator does not answer", {}, True),
        (1, "torch.OutOfMemoryError: CUDA out of memory", {}, True),
        (1, "ModuleNotFoundError: No module named 'x'", {"fatal": "ModuleNotFoundError"}, False),
        (1, None, {"diagnosis": Diagnosis(kind="disk full", summary="")}, False),
        (1, None, {"diagnosis": Diagnosis(kind="preemption", summary="")}, False),
        (-9, None, {"diagnosis": Diagnosis(kind="exit hang", summary="")}, False),
        (-9, None, {"diagnosis": HUNG}, True),
        (-15, None, {"diagnosis": HUNG}, True),  # the supervisor's own
        (75, None, {"diagnosis": HUNG, "is_run": True, "is_stopped": True}, True),
        (-9, None, {"diagnosis": Diagnosis(kind="kernel OOM", summary="")}, True),
        (1, None, {"diagnosis": Diagnosis(kind="lost", summary="")}, False),
        (-15, None, {}, False),  # a scheduler
        (143, None, {}, False),
        (78, None, {}, False),
        (93, None, {}, False),
        (None, None, {}, False),  # the shim was killed
        (0, None, {"is_run": True}, False),
        (0, None, {}, False),  # done
        (-11, None, {"stop_requested": True}, False),
        (75, None, {"is_run": True, "is_stopped": True}, False),
        (1, None, {"is_locked": True}, False),
    ],
)
def test_what_counts(
    code: int | None, exception: str | None, known: dict[str, object], *, counts: bool
) -> None:
    """What breaks under load does; what people, disks and typos do does not."""
    assert is_of_the_setting(record(code, exception, **known)) is counts


def test_a_config_error_is_one_that_stays() -> None:
    """Exit code 78, or an error of the program's text."""
    assert is_config_error(record(78))
    assert is_config_error(record(1, fatal="ImportError"))
    assert not is_config_error(record(1, "RuntimeError: no"))
