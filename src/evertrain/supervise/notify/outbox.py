"""When notes are sent, how many at once, and when trying is over. Pure but for its memory.

Layer: supervise. Imports core only.
"""

from typing import Final

from evertrain.supervise.notify.event import Note

SETTLE_S: Final = 2.0
GAP_S: Final = 60.0
MAX_TRIES: Final = 6
_FIRST_PATIENCE_S: Final = 5.0
_MAX_PATIENCE_S: Final = 300.0
_MAX_NOTES: Final = 100


class Outbox:
    """Notes on their way to one place.

    The first one waits `SETTLE_S` for others that belong to it; behind a message, the next
    one waits `GAP_S`, and takes along all that has come meanwhile. A message that fails is
    tried again, with what has come since, `MAX_TRIES` times at most.

    Attributes:
        lost: How many notes were given up.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self.lost = 0
        self._notes: list[Note] = []
        self._omitted = 0
        self._due_s = 0.0
        self._next_s = float("-inf")
        self._tries = 0

    def add(self, note: Note, now_s: float) -> None:
        """Take a note. Of very many at once, those in the middle are only counted."""
        if not self._notes:
            self._due_s = max(now_s + SETTLE_S, self._next_s)
        self._notes.append(note)
        if len(self._notes) > _MAX_NOTES:
            del self._notes[_MAX_NOTES // 2]
            self._omitted += 1

    def due_s(self) -> float | None:
        """Return when the next message is to be sent; None if there is none."""
        return self._due_s if self._notes else None

    def take(self) -> tuple[list[Note], int]:
        """Return all notes, and how many more there were, to be sent now."""
        return list(self._notes), self._omitted

    def sent(self, now_s: float) -> None:
        """Forget what was taken: it arrived."""
        self._forget()
        self._next_s = now_s + GAP_S

    def failed(self, now_s: float, after_s: float | None = None) -> None:
        """Try again later, or give up.

        Args:
            now_s: Monotonic time.
            after_s: How long the place wants to be left alone, or None.
        """
        self._tries += 1
        if self._tries >= MAX_TRIES:
            self.lost += len(self._notes) + self._omitted
            self._forget()
            self._next_s = now_s + GAP_S
            return
        patience_s = _FIRST_PATIENCE_S * 2 ** (self._tries - 1)
        wanted_s = patience_s if after_s is None else max(patience_s, after_s)
        self._due_s = now_s + min(wanted_s, _MAX_PATIENCE_S)

    def _forget(self) -> None:
        self._notes.clear()
        self._omitted = self._tries = 0
