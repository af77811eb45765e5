"""Packing closed pieces of logs beside the training, and keeping all of them below a limit.

What is to be done is read from the directory each time, so it does not matter at which
line an earlier one was killed: the next attempt goes on there.

Layer: supervise. Imports monitor and core.
"""

import errno
import os
import threading
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.zstd import compressor
from evertrain.monitor.logs import MAX_PIECE_BYTES, Piece, list_pieces, piece_at, read_piece
from evertrain.supervise.logs.budget import superfluous

KEPT_BYTES: Final = 512 << 20

_ZSTD_LEVEL: Final = 3
_GZIP: Final = zlib.MAX_WBITS | 16
_NICE: Final = 19
_SUFFIXES: Final = (".gz", ".zst")


class Packer:
    """Packs pieces, in a thread of its own once it is started, and drops superfluous ones.

    The thread gets what time is left over, and so falls behind a flood: whoever writes drops,
    too, and no piece waits to be packed before it goes.

    One at a time in a directory: whoever writes the newest attempt's log.

    Args:
        logs: Directory of the logs.
        attempt: Whose log is being written. Its newest closed piece stays plain, for
            whoever reads the end of the output.
        kept_bytes: What all pieces may take together.
        fs: Disk to change.
    """

    def __init__(
        self, logs: Path, attempt: int, *, kept_bytes: int = KEPT_BYTES, fs: Fs = LOCAL_FS
    ) -> None:
        """Start nothing yet."""
        self._logs = logs
        self._attempt = attempt
        self._kept_bytes = kept_bytes
        self._fs = fs
        self._is_due = threading.Event()

    def start(self) -> None:
        """Work now, and whenever a piece has ended, until this process ends."""
        self._is_due.set()
        with suppress(RuntimeError):  # no thread to be had: the next attempt packs
            threading.Thread(target=self._work, name="evertrain-logs", daemon=True).start()

    def piece_ended(self) -> None:
        """Drop what is superfluous now, and let the thread pack. Waits for the disk only."""
        self._drop_superfluous()
        self._is_due.set()

    def work(self) -> None:
        """Do what is to be done.

        Durability:
            A packed piece is on the medium before the plain one goes; killed between the two,
            both are there, with the same contents. A refusal of the disk leaves pieces plain.
        """
        self._clear_up()
        self._drop_superfluous()
        tried: set[Path] = set()
        while (piece := self._next(tried)) is not None:
            tried.add(piece.path)
            with suppress(OSError):
                self._pack(piece)
            self._drop_superfluous()

    def _next(self, tried: Collection[Path]) -> Piece | None:
        """Return the oldest piece to pack but those that were tried, or None."""
        pieces = list_pieces(self._logs)
        closed = [each for each in pieces if each.number is not None and not each.packed]
        newest = [each for each in closed if each.attempt == self._attempt][-1:]
        left = (each for each in closed if each not in newest and each.path not in tried)
        return next(left, None)

    def _drop_superfluous(self) -> None:
        for piece in superfluous(list_pieces(self._logs), self._kept_bytes):
            with suppress(OSError):
                self._drop(piece)

    def _drop(self, piece: Piece) -> None:
        """Remove a piece, plain and packed: the thread may be packing it."""
        if piece.number is None:
            self._fs.unlink(piece.path)
            return
        plain = piece.path.with_suffix("") if piece.packed else piece.path
        for suffix in ("", *_SUFFIXES):  # the plain one first: see `_pack`
            self._fs.unlink(plain.with_name(plain.name + suffix))

    def _work(self) -> None:
        with suppress(OSError):  # on Linux this is a thread's own affair
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while self._is_due.wait():
            self._is_due.clear()
            self.work()

    def _clear_up(self) -> None:
        """Remove what a killed one left: half a packed piece, or a plain one that is packed."""
        try:
            names = os.listdir(self._logs)  # noqa: PTH208  (names only)
        except OSError:
            return
        for name in names:
            path = self._logs / name
            with suppress(OSError):
                if name.startswith(".attempt-") and ".tmp-" in name:
                    self._fs.unlink(path)
                elif name.endswith(_SUFFIXES) and piece_at(path) is not None:
                    self._fs.unlink(path.with_suffix(""))

    def _pack(self, piece: Piece) -> None:
        if piece.size_bytes > MAX_PIECE_BYTES:  # nobody would read it whole
            return
        engine = compressor(_ZSTD_LEVEL)
        suffix = ".zst" if engine is not None else ".gz"
        engine = engine or zlib.compressobj(wbits=_GZIP)
        target = piece.path.with_name(piece.path.name + suffix)
        half = target.with_name(f".{target.name}.tmp-{os.getpid()}")
        try:
            self._fs.write(half, _packed(piece, engine))
            self._fs.sync_file(half)
            self._fs.replace(half, target)
        except OSError:
            with suppress(OSError):  # the first failure is the one to report
                self._fs.unlink(half)
            raise
        self._fs.sync_dir(self._logs)
        # Whoever drops a piece meanwhile takes the plain one first and then the packed one:
        # where the plain one is still there now, he finds the packed one, too.
        self._fs.unlink(piece.path if piece.path.exists() else target)


def _packed(piece: Piece, engine: Any) -> Iterator[bytes]:
    """Yield a plain piece as it is packed.

    Raises:
        OSError: It could not be read to its end.
    """
    read_bytes = 0
    for block in read_piece(piece):
        read_bytes += len(block)
        yield engine.compress(block)
    if read_bytes != piece.size_bytes:
        raise OSError(errno.EIO, "it cannot be read to its end", str(piece.path))
    yield engine.flush()
