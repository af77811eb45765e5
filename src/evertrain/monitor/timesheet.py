"""Where a run's time went, told from its journal. Pure.

Work counts as useful once a checkpoint holds it that the run went on from. What came
after that died with its attempt and is done again; going back on request wastes nothing,
for what was set aside was wanted then. Time in which nobody was meant to train, after a
stop or an end, belongs to no class, nor does time of which nobody knows what it was.

Layer: monitor. Imports core only.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from evertrain.core.journal import Row
from evertrain.monitor.attempt import unix_s
from evertrain.monitor.goodput import KINDS, Account, Kind, Spent, total
from evertrain.monitor.metrics import int_of, number_of

_Phase = Kind | Literal["work"] | None


def account(journal_rows: Iterable[Row], now_s: float | None = None) -> Account:
    """Return where the time of a run went; arguments as of `spent`."""
    return total(spent(journal_rows, now_s))


def spent(journal_rows: Iterable[Row], now_s: float | None = None) -> list[Spent]:
    """Return where the time of each attempt went, oldest first.

    Args:
        journal_rows: Events of `journal.jsonl`, oldest first.
        now_s: Unix time, seconds, if the newest attempt is alive or waited for; None stops
            at the last event.
    """
    clerk = _Clerk()
    for row in journal_rows:
        clerk.hear(row)
    clerk.close(now_s)
    return list(clerk.parts())


@dataclass(slots=True)
class _Piece:
    """Work between two checkpoints.

    `step` is that of the checkpoint that holds it, None for the rest behind the last one.
    """

    seconds: float
    step: int | None = None
    is_lost: bool = False


@dataclass(slots=True)
class _Life:
    """One attempt, as far as it was read.

    Attributes:
        began_s: Unix time of its start.
        launching_s: What its supervisor took to start it, seconds.
        has_spoken: Whether it is a `Run`, which tells the journal what it does.
        has_moved: Whether it is a command whose output or files have shown progress.
        has_ended: Whether it ended as it was meant to.
        seconds: What is booked, by class; work is not, until its fate is known.
        pieces: Work, oldest first.
        since_save_s: Work behind the last of them, seconds.
    """

    began_s: float
    launching_s: float = 0.0
    has_spoken: bool = False
    has_moved: bool = False
    has_ended: bool = False
    seconds: dict[Kind, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    pieces: list[_Piece] = field(default_factory=list)
    since_save_s: float = 0.0

    def spend(self, phase: "_Phase", seconds: float) -> None:
        """Book some time."""
        if phase == "work":
            self.since_save_s += seconds
        elif phase is not None:
            self.seconds[phase] += seconds

    def booked_s(self, phase: "_Phase") -> float:
        """Return what is booked so far, of work what no checkpoint holds."""
        if phase == "work":
            return self.since_save_s
        return self.seconds[phase] if phase is not None else 0.0

    def saved(self, step: int | None, blocked_s: float) -> None:
        """Close the piece that a checkpoint now holds."""
        blocked_s = min(max(0.0, blocked_s), self.since_save_s)
        self.seconds["saving"] += blocked_s
        self.pieces.append(_Piece(self.since_save_s - blocked_s, step))
        self.since_save_s = 0.0

    def stalled(self, phase: _Phase, silent_s: float) -> None:
        """Take from what it seemed to do what was a hang."""
        silent_s = min(max(0.0, silent_s), self.booked_s(phase))
        self.spend(phase, -silent_s)
        self.spend("stalled", silent_s)

    def was_foreign(self) -> None:
        """It never told of itself: all may have been work, if nobody saw when that began."""
        if self.has_moved:
            return
        self.spend("work", self.seconds["startup"])
        self.seconds["startup"] = 0.0

    def held_until(self, safe_s: float | None, ended_s: float) -> None:
        """Split its work at the newest checkpoint of its own kind, if it has one."""
        if safe_s is not None and safe_s >= self.began_s:
            rest_s = min(max(0.0, ended_s - safe_s), self.since_save_s)
            self.pieces.append(_Piece(self.since_save_s - rest_s))
            self.since_save_s = rest_s

    def over(self, *, is_lost: bool) -> None:
        """Close the rest."""
        if self.since_save_s:
            self.pieces.append(_Piece(self.since_save_s, is_lost=is_lost))
            self.since_save_s = 0.0

    def kept(self) -> None:
        """Call all of it wanted: the training is complete."""
        self.over(is_lost=False)
        for piece in self.pieces:
            piece.is_lost = False

    def account(self) -> Account:
        """Return what it spent."""
        useful_s = sum(each.seconds for each in self.pieces if not each.is_lost)
        replayed_s = sum(each.seconds for each in self.pieces if each.is_lost)
        seconds = self.seconds | {"useful": useful_s, "replayed": replayed_s}
        seconds["startup"] += self.launching_s
        return Account(**{f"{kind}_s": value for kind, value in seconds.items()})


# What the time after an event is spent on. None: nobody was meant to train.
_AFTER: Final[Mapping[str, _Phase]] = {
    "supervisor_started": None,
    "launched": "startup",
    "attempt_started": "startup",
    "restoring": "restoring",
    "resumed": "work",
    "progressed": "work",
    "hang": "stalled",
    "failed": "startup",
    "stopped": "startup",
    "finished": "startup",
    "ended": "backoff",
    "crashed": "backoff",
    "backoff": "backoff",
    "gave_up": None,
    "supervisor_stopped": None,
}
_STARTS: Final = frozenset({"launched", "attempt_started"})
_LAST_WORDS: Final = frozenset({"failed", "stopped", "finished"})


class _Clerk:
    """Reads events in their order and books the time between them."""

    def __init__(self) -> None:
        self._lives: dict[int, _Life] = {}
        self._number = 0
        self._phase: _Phase = None
        self._at_s: float | None = None
        self._launching_s = 0.0
        self._is_launching = False
        self._is_supervised = False
        self._is_going_back = False
        self._is_sent_back = False

    @property
    def _life(self) -> _Life | None:
        return self._lives.get(self._number)

    def hear(self, row: Row) -> None:
        """Book the time until `row`, and what it says."""
        at_s, event = unix_s(row.get("time")), str(row.get("event"))
        if at_s is None:
            return
        number = int_of(row, "attempt") if event in _STARTS else None
        is_next = number is not None and number != self._number
        waits = self._phase == "backoff" and self._is_supervised
        # Somebody begins anew: unless they waited for that, what was before may be long dead.
        self._pass(at_s, is_known=event != "supervisor_started" and (not is_next or waits))
        if number is not None:
            self._begin(number, event, at_s)
        if self._life is not None:
            self._tell(self._life, row, event, at_s)
        if event in _AFTER:
            self._phase = self._next_phase(event, row)
        # Who started a training without a supervisor also starts it again by hand.
        self._is_supervised |= event in {"launched", "backoff"}
        self._is_supervised &= self._phase is not None
        self._is_launching = event == "supervisor_started" or (
            self._is_launching and event not in _AFTER
        )

    def close(self, now_s: float | None) -> None:
        """Book the time until now."""
        if now_s is not None:
            self._pass(now_s, is_known=True)
        if self._life is not None:
            if self._phase == "startup" and not self._life.has_spoken:
                self._life.was_foreign()
            self._life.over(is_lost=False)

    def parts(self) -> Iterator[Spent]:
        """Return what every attempt spent."""
        for number in sorted(self._lives):
            yield Spent(number, self._lives[number].account())

    def _pass(self, at_s: float, *, is_known: bool) -> None:
        """Book the time since the last event, if it is known what it was."""
        # A clock that was set back has passed no time.
        passed_s = max(0.0, at_s - self._at_s) if self._at_s is not None else 0.0
        self._at_s = at_s
        if self._is_launching:
            self._launching_s += passed_s
        elif self._life is not None and self._phase is not None and is_known:
            self._life.spend(self._phase, passed_s)

    def _begin(self, number: int, event: str, at_s: float) -> None:
        if number != self._number:
            if self._life is not None:
                self._life.over(is_lost=True)
            self._number = number
        life = self._lives.setdefault(number, _Life(began_s=at_s))
        life.has_spoken |= event == "attempt_started"
        life.launching_s += self._launching_s
        self._launching_s = 0.0

    def _tell(self, life: _Life, row: Row, event: str, at_s: float) -> None:
        match event:
            case "backoff":  # to leave a step that kills: nobody wanted to lose what is behind
                self._is_sent_back = row.get("move") == "older"
            case "superseded":
                self._is_going_back = not self._is_sent_back
            case "resumed":
                self._lose_after(int_of(row, "step") or 0)
            case "progressed":
                life.has_moved = True
            case "saved":
                life.saved(int_of(row, "step"), number_of(row, "blocked") or 0.0)
            case "hang":
                life.stalled(self._phase, number_of(row, "silent_s") or 0.0)
            case "finished" | "stopped":
                life.has_ended = True
                life.kept() if event == "finished" else life.over(is_lost=True)
            case "ended" if not life.has_spoken:
                life.was_foreign()
                life.held_until(unix_s(row.get("safe_at")), at_s)
                life.over(is_lost=True)
            case "failed" | "ended" | "crashed":
                life.over(is_lost=True)
            case _:
                pass

    def _lose_after(self, step: int) -> None:
        """A later attempt begins at `step`: what lies behind it is done again."""
        if not self._is_going_back:
            for number, life in self._lives.items():
                for piece in life.pieces if number != self._number else ():
                    piece.is_lost |= piece.step is not None and piece.step > step
        self._is_going_back = False

    def _next_phase(self, event: str, row: Row) -> _Phase:
        is_last_word = event in _LAST_WORDS and (
            not self._is_supervised or row.get("by") == "supervisor"
        )
        was_meant = event == "ended" and self._life is not None and self._life.has_ended
        is_alone = event == "ended" and row.get("by") == "shim"
        return None if is_last_word or was_meant or is_alone else _AFTER[event]
