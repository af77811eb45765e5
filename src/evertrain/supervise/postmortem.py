"""The post-mortem of an attempt: all that is known of its death, for programs and for later.

Layer: supervise. Imports core only.
"""

import json
from collections.abc import Sequence
from typing import Final

from evertrain.core.clock import iso_utc
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.core.journal import finite
from evertrain.core.rundir import RunDir
from evertrain.supervise.cause import signal_name
from evertrain.supervise.hang.record import encode_hang
from evertrain.supervise.report import Record

CRASH_FORMAT: Final = 1


def write_crash(
    run_dir: RunDir, record: Record, command: Sequence[str], *, fs: Fs = LOCAL_FS
) -> None:
    """Write the post-mortem `crashes/attempt-N.json`.

    Durability:
        As `write_atomic`.
    """
    outcome, tail, found = record.outcome, record.tail, record.diagnosis
    row = {
        "format": CRASH_FORMAT,
        "attempt": record.attempt,
        "cause": record.cause,
        "code": outcome.code,
        "signal": signal_name(outcome.code),
        "kind": found.kind,
        "summary": found.summary,
        "evidence": list(found.evidence),
        "advice": list(found.advice),
        "fingerprint": found.fingerprint,
        "fatal": record.end.fatal,
        "exception": record.exception,
        "traceback": record.traceback,
        "last_lines": list(tail.lines),
        "seconds": outcome.seconds,
        "started_at": iso_utc(record.began_at_s),
        "step_from": record.steps[0],
        "step_to": record.steps[1],
        "resumed_from": record.resumed_from,
        "progress": record.end.gain.progress,
        "killed": list(outcome.killed),
        "peak_bytes": outcome.peak_bytes,
        "lost_log_bytes": outcome.lost_log_bytes,
        "hang": None if outcome.hang is None else encode_hang(outcome.hang),
        "command": list(command),
        "log": str(run_dir.log(record.attempt).relative_to(run_dir.path)),
    }
    text = json.dumps(finite(row), indent=2, allow_nan=False) + "\n"
    make_dir(run_dir.crashes, fs=fs)
    write_atomic(run_dir.crash(record.attempt), text.encode(), fs=fs)
