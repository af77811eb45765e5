"""`evertrain.supervise.cause`: what the end of an output says."""

from pathlib import Path

import pytest

from evertrain.supervise.cause import Tail, name_of, parse_tail, read_tail, why_fatal

TRACEBACK = """Traceback (most recent call last):
  File "train.py", line 3, in <module>
    step()
    ^^^^^^
  File "train.py", line 9, in step
    raise EnvError("no answer")
sim.EnvError: no answer
"""


def test_the_last_traceback_is_found_behind_a_progress_bar() -> None:
    """A bar without a line end stands before it, colors in it; both are left out."""
    data = b"\r  4%|#   | 4/100\r  5%|#   | 5/100" + b"\x1b[31m" + TRACEBACK.encode() + b"\x1b[0m\n"
    tail = parse_tail(data)
    assert tail.exception == "sim.EnvError: no answer"
    assert tail.traceback == TRACEBACK.strip()
    assert tail.is_last_word


def test_a_chain_ends_with_what_was_raised_last() -> None:
    """Of an exception raised while another one was handled, the last one counts."""
    more = "\nDuring handling of the above exception, another exception occurred:\n\n"
    tail = parse_tail((TRACEBACK + more + TRACEBACK.replace("sim.Env", "Value")).encode())
    assert tail.exception == "ValueError: no answer"


def test_a_multi_line_message_keeps_its_first_line() -> None:
    """`what`, `why` and `fix` of our own errors follow the exception's line."""
    tail = parse_tail(TRACEBACK.encode() + b"  why: it is\n  fix: do that\n")
    assert tail.exception == "sim.EnvError: no answer"
    assert tail.is_last_word


def test_a_handled_traceback_in_the_middle_is_not_the_last_word() -> None:
    """A program that goes on after a traceback died of something else."""
    tail = parse_tail(TRACEBACK.encode() + b"".join(b"step %d\n" % i for i in range(20)))
    assert not tail.is_last_word


def test_a_message_of_many_lines_is_still_the_last_word() -> None:
    """A tensor that stands in it is indented."""
    tail = parse_tail(TRACEBACK.encode() + b"tensor([[nan],\n" + b"        [nan],\n" * 60)
    assert tail.is_last_word


def test_what_stands_before_the_last_traceback_is_kept() -> None:
    """A worker's traceback, and what faulthandler wrote, before the leader's."""
    worker = "Process SpawnProcess-1:\n" + TRACEBACK.replace("sim.EnvError", "ValueError")
    fatal = "Fatal Python error: Aborted\n\nCurrent thread 0x1:\n  File ...\n"
    tail = parse_tail((worker + fatal + TRACEBACK).encode())
    assert [each.splitlines()[-1] for each in tail.earlier] == ["ValueError: no answer"]
    assert tail.exception == "sim.EnvError: no answer"
    assert tail.native is not None
    assert tail.native.startswith("Fatal Python error: Aborted")
    far = parse_tail((worker + "step\n" * 300 + TRACEBACK).encode())
    assert far.earlier == ()


def test_an_abort_right_behind_an_exception_leaves_it_the_last_word() -> None:
    """It broke on its way out; one that comes later is another matter."""
    fatal = "Fatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n"
    assert parse_tail((TRACEBACK + fatal).encode()).is_last_word
    assert not parse_tail((TRACEBACK + "step\n" * 9 + fatal).encode()).is_last_word


def test_a_crash_below_python_has_its_stack() -> None:
    """What faulthandler writes is taken as the traceback."""
    text = "step 1\nFatal Python error: Segmentation fault\n\nCurrent thread 0x1:\n  File ...\n"
    tail = parse_tail(text.encode())
    assert tail.exception == "Fatal Python error: Segmentation fault"
    assert tail.traceback is not None
    assert tail.traceback.endswith("File ...")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xff\x00", TRACEBACK[:34].encode()])
def test_anything_can_be_parsed(data: bytes) -> None:
    """Nothing, garbage and a torn traceback are no problem."""
    assert parse_tail(data).exception is None


def test_only_the_last_lines_are_kept_and_only_the_end_is_read(tmp_path: Path) -> None:
    """50 lines of however many; a huge log costs no memory; a missing one is empty."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(1000)))
    assert read_tail(path).lines == tuple(f"line {number}" for number in range(950, 1000))
    assert read_tail(path, limit_bytes=18).lines == ("line 998", "line 999")
    assert read_tail(tmp_path / "none") == Tail()


def test_names_of_exit_statuses() -> None:
    """Codes and signals as people say them."""
    assert name_of(3) == "exit code 3"
    assert name_of(-11) == "SIGSEGV"
    assert name_of(-35) == "signal 35"
    assert name_of(None) == "exit status unknown"


def _raised(line: str) -> bytes:
    return TRACEBACK.replace("sim.EnvError: no answer", line).encode()


@pytest.mark.parametrize(
    ("code", "data", "seconds", "is_fatal"),
    [
        (1, _raised("ModuleNotFoundError: No module named 'x'"), 5000.0, True),
        (1, _raised("ImportError: cannot import name 'x'"), 1.0, True),
        (1, _raised("SyntaxError: invalid syntax"), 1.0, True),
        (1, _raised("ImportError: libcuda.so: Cannot allocate memory"), 1.0, False),
        (1, _raised("ImportError: x.so: Input/output error"), 1.0, False),
        (1, _raised("my.IndentationError: unexpected indent"), 1.0, True),
        (1, _raised("RuntimeError: ImportError: x"), 1.0, False),
        (
            1,
            _raised("TypeError: unsupported operand type(s) for *: 'function' and 'Tensor'"),
            5000.0,
            True,
        ),
        (1, _raised("TypeError: f() missing 1 required positional argument: 'x'"), 1.0, True),
        (1, _raised("TypeError: A.f() got an unexpected keyword argument 'x'"), 1.0, True),
        (1, _raised("TypeError: f() takes 1 positional argument but 2 were given"), 1.0, True),
        (
            1,
            _raised("TypeError: unsupported operand type(s) for +: 'NoneType' and 'method'"),
            1.0,
            False,
        ),
        (1, _raised("TypeError: unsupported operand type(s) for +: 'int' and 'str'"), 1.0, False),
        (1, _raised("TypeError: 'NoneType' object is not subscriptable"), 1.0, False),
        (-9, _raised("ImportError: x"), 1.0, False),
        (1, _raised("ImportError: x") + b"step\n" * 9, 1.0, False),
        (2, b"usage: train.py [-h]\ntrain.py: error: unrecognized arguments: --x\n", 1.0, True),
        (2, b"usage: train.py [-h]\n", 31.0, False),
        (2, b"something else\n", 1.0, False),
        (2, b"python: can't open file 'x.py': [Errno 2] No such file\n", 1.0, True),
        (127, b"train.sh: line 1: pyhton: command not found\n", 1.0, True),
        (126, b"train.sh: line 1: ./x: Permission denied\n", 1.0, True),
        (127, b"", 1.0, False),
        (1, b"", 1.0, False),
        (None, b"", 1.0, False),
    ],
)
def test_only_certain_causes_are_fatal(
    code: int | None, data: bytes, seconds: float, *, is_fatal: bool
) -> None:
    """Import and syntax errors, calls that never work, usage errors and missing programs."""
    assert (why_fatal(code, parse_tail(data), seconds) is not None) is is_fatal
