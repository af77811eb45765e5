"""What a program leaves on its terminal, of all that it draws there. Pure.

A progress bar draws itself twenty times a second over its own line (carriage return),
spinners step back (backspace), several bars climb up to the first (`ESC [ n A`), and down
again (`ESC [ n B`). A file that kept each drawing would fill a disk over a weekend. So rows
that are being drawn are held in memory, the last state of each; text that nothing redraws
passes at once, as it is.

Layer: supervise. Imports nothing from evertrain.
"""

import re
from collections.abc import Iterator
from typing import Final

Match = re.Match[bytes]

# What begins a drawing: back to the start of the line, back a few characters, up or down some
# rows. E and F go to the start of a line, A, B and M stay in their column.
_MARK: Final = re.compile(
    rb"\r(?!\n)|\x1b\[[01]?G|(?P<back>\x08+)|\x1b\[(?P<left>[0-9]{0,4})D"
    rb"|\x1b\[(?P<up>[0-9]{0,4})[AF]|(?P<index>\x1bM)|\x1b\[(?P<down>[0-9]{0,4})[BE]"
)
_STEP: Final = re.compile(rb"(?P<end>\r?\n)|" + _MARK.pattern)
# The first bytes of all these: to search for them is fast, for the marks themselves slow.
_CONTROL: Final = re.compile(rb"[\r\x08\x1b]")
_CONTROL_OR_END: Final = re.compile(rb"[\n\r\x08\x1b]")
# What may be such a mark, once the next bytes have come.
_PARTIAL: Final = re.compile(rb"(?:\r|\x1b(?:\[[0-9]{0,4})?)\Z")
_ERASE: Final = b"\x1b[2K"
_MAX_LINE_BYTES: Final = 4096
_MAX_ROW_BYTES: Final = 65_536
_MAX_ROWS: Final = 128


class _Row:
    """One row of a drawing: its last state, and whether the file lacks that."""

    __slots__ = ("is_new", "text")

    def __init__(self, text: bytes | None = b"") -> None:
        self.text = None if text is None else bytearray(text)  # None: given before, not known
        self.is_new = False


class Collapse:
    """Takes what a program writes, and gives what belongs into its log.

    Rows of a drawing are given when nothing can redraw them any more, or when asked for:
    then as one more state of the same line, behind a carriage return, or as more lines
    where the drawing has several rows. Memory is bounded; bytes are never decoded.

    Attributes:
        is_holding: Whether there is something that the log lacks.
    """

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._rows: list[_Row] = []
        self._at = 0  # the cursor's row
        self._is_back = False  # whether the next text overwrites that row
        self._is_home = False  # whether the cursor is at the start of it
        self._reach = 0  # how many rows above the last one this drawing has climbed
        self._quiet = 0  # rows begun since it last climbed
        self._carry = b""
        self._line = b""  # of the log's unfinished line, what is worth remembering
        self._is_open = False  # whether the log's last line is unfinished

    @property
    def is_holding(self) -> bool:
        """Whether there is something that the log lacks."""
        return any(row.is_new for row in self._rows)

    def feed(self, data: bytes) -> bytes:
        """Take more output. Return what to write now."""
        data = self._carry + data
        partial = _PARTIAL.search(data, max(0, len(data) - 8))
        cut = partial.start() if partial else len(data)
        data, self._carry = data[:cut], data[cut:]
        parts: list[bytes] = []
        while data:
            data = self._draw(data, parts) if self._rows else self._pass(data, parts)
        return b"".join(parts)

    def state(self) -> bytes:
        """Return the drawing as it is now, if the log lacks it; it may go on."""
        return self._told(self._rows)

    def end(self) -> bytes:
        """Return all that is left. Nothing more will come."""
        rest, self._carry = self._carry, b""
        return self.state() + (b"" if rest == b"\r" else rest)

    def _pass(self, data: bytes, parts: list[bytes]) -> bytes:
        """Give what nothing redraws. Return what is left, from the first mark on."""
        may_draw = b"\r" in data or b"\x08" in data or b"\x1b" in data
        mark = next(_found(_CONTROL, _MARK, data), None) if may_draw else None
        plain = data if mark is None else data[: mark.start()]
        if plain:
            parts.append(plain)
            begun = plain.rfind(b"\n") + 1
            line = plain[begun:] if begun else self._line + plain
            self._is_open = bool(line) or (not begun and self._is_open)
            self._line = line if len(line) <= _MAX_LINE_BYTES else b""
        if mark is None:
            return b""
        self._rows, self._at, self._reach, self._quiet = [_Row(self._line)], 0, 0, 0
        self._is_back = self._is_home = False
        return data[mark.start() :]

    def _draw(self, data: bytes, parts: list[bytes]) -> bytes:
        """Follow a drawing. Return what is left of `data` behind its end."""
        position = 0
        for step in _found(_CONTROL_OR_END, _STEP, data):
            self._write(data[position : step.start()])
            position = step.end()
            if step["end"]:
                parts.append(self._next_row())
            elif step["up"] is not None or step["index"]:
                self._climb(_count(step["up"]))
            elif step["down"] is not None:
                parts.append(self._descend(_count(step["down"])))
            elif step["back"] or step["left"] is not None:
                self._step_back(len(step["back"] or b"") or _count(step["left"]))
            else:
                self._is_back = self._is_home = True
            if step[0][-1:] in b"EF":
                self._is_back = self._is_home = True
            if not self._rows:
                return data[position:]
        self._write(data[position:])
        longest = max(len(row.text or b"") for row in self._rows)
        if longest > _MAX_ROW_BYTES or len(self._rows) > _MAX_ROWS:
            parts.append(self._over())
        return b""

    def _write(self, text: bytes) -> None:
        if text:
            row = self._rows[self._at]
            row.text = bytearray() if self._is_back or row.text is None else row.text
            before = max(0, len(row.text) - len(_ERASE) + 1)
            row.text += text
            del row.text[: max(0, row.text.rfind(_ERASE, before))]
            row.is_new, self._is_back, self._is_home = True, False, False

    def _next_row(self) -> bytes:
        """Go down a row. Return the rows that the drawing does not reach any more."""
        self._at += 1
        self._is_back = self._is_home = True
        if self._at < len(self._rows):
            return b""
        self._rows.append(_Row())
        self._quiet += 1
        if self._quiet > self._reach:
            return self._over()
        out_of_reach = self._at - self._reach
        given = self._told(self._rows[:out_of_reach], is_whole=True)
        del self._rows[:out_of_reach]
        self._at -= out_of_reach
        return given

    def _climb(self, count: int) -> None:
        """Go up; rows that were given before the drawing began are drawn anew."""
        count = min(count, _MAX_ROWS)
        missing = max(0, count - self._at)
        self._rows[:0] = [_Row(None) for _ in range(missing)]
        self._at += missing - count
        self._reach = max(self._reach, len(self._rows) - 1 - self._at)
        self._quiet, self._is_back = 0, True

    def _descend(self, count: int) -> bytes:
        """Go down; below the drawing is one row more at most. Return what `_next_row` does.

        The column stays: text that comes now overwrites the row if the cursor is at the start,
        and else stands behind what is there.
        """
        last = len(self._rows) - 1
        if self._at + count > last and self._rows[last].text:
            self._at = last
            return self._next_row()
        self._at = min(self._at + count, last)
        self._is_back = self._is_home
        return b""

    def _step_back(self, count: int) -> None:
        """Forget the last `count` characters of the row: other ones follow."""
        text = self._rows[self._at].text
        while text and count > 0:
            if text.pop() & 0xC0 != 0x80:  # noqa: PLR2004  (not in the middle of a character)
                count -= 1

    def _over(self) -> bytes:
        """Return the whole drawing, and let what follows pass."""
        given = self._told(self._rows[:-1], is_whole=True) + self._told(self._rows[-1:])
        line = bytes(self._rows[-1].text or b"")
        self._line = line if len(line) <= _MAX_LINE_BYTES else b""
        self._rows = []
        return given

    def _told(self, rows: list[_Row], *, is_whole: bool = False) -> bytes:
        """Return the rows from the first one that the log lacks, ended if they are whole."""
        first = next((index for index, row in enumerate(rows) if row.is_new), len(rows))
        told = b"\n".join(bytes(row.text) for row in rows[first:] if row.text is not None)
        if told:
            begin = b"" if not self._is_open else b"\r" if self._reach == 0 else b"\n"
            self._is_open = not told.endswith(b"\n")
            told = begin + told
        for row in rows[first:]:
            row.is_new = False
        if is_whole and rows and self._is_open:
            told += b"\n"
            self._is_open = False
        return told


def _count(digits: bytes | None) -> int:
    """Return what a mark counts: none and 0 are 1."""
    return max(1, int(digits or 1))


def _found(first: re.Pattern[bytes], whole: re.Pattern[bytes], data: bytes) -> Iterator[Match]:
    """Yield the matches of `whole`, each of which begins with one of `first`."""
    position = 0
    for control in first.finditer(data):
        found = whole.match(data, control.start()) if control.start() >= position else None
        if found is not None:
            position = found.end()
            yield found
