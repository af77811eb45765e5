"""`evertrain.core.journal.Reader`: a journal that is read again and again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.core import journal as journal_module
from evertrain.core.errors import EvertrainError
from evertrain.core.journal import Journal, Reader, encode_line

LINES = st.sampled_from(
    [
        encode_line({"event": "saved", "step": 1}),
        encode_line({"event": "crashed", "attempt": 2}),
        encode_line({"no": "event"}),
        b"garbage\n",
        b"\n",
        b'{"event": "sav',
        b'ed"}\n',
    ]
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("append"), LINES),
        st.tuples(st.just("rewrite"), st.lists(LINES).map(b"".join)),
        st.tuples(st.just("cut"), st.integers(0, 60)),
    ),
    max_size=8,
)


@given(changes=CHANGES)
def test_it_tells_what_a_fresh_look_would(
    changes: list[tuple[str, bytes | int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever becomes of the file between two looks: torn, finished, cut, replaced."""
    path = tmp_path_factory.mktemp("run") / "journal.jsonl"
    reader, fresh = Reader(path), Journal(path)
    for kind, what in changes:
        before = path.read_bytes() if path.exists() else b""
        if isinstance(what, int):
            path.write_bytes(before[: len(before) - what])
        else:
            path.write_bytes(what if kind == "rewrite" else before + what)
        assert reader.events() == fresh.events()
        assert reader.events("saved") == fresh.events("saved")


def test_only_what_is_new_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand rows are parsed once, not at each look."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode_line({"event": "saved"}) * 1000)
    reader = Reader(path)
    parsed: list[int] = []
    parse = journal_module.parse_lines

    def counted(data: bytes) -> journal_module.Lines:
        parsed.append(len(data))
        return parse(data)

    monkeypatch.setattr(journal_module, "parse_lines", counted)
    assert len(reader.events()) == 1000
    parsed.clear()
    Journal(path).record("crashed", attempt=1, sync=False)
    assert [row["event"] for row in reader.events()[-2:]] == ["saved", "crashed"]
    assert reader.events("crashed")[0]["attempt"] == 1
    assert sum(parsed) < 100


def test_one_that_is_not_there_is_empty_and_one_that_is_closed_is_told(tmp_path: Path) -> None:
    """As for everybody who reads a journal."""
    assert Reader(tmp_path / "journal.jsonl").events() == ()
    (tmp_path / "folder").mkdir()
    with pytest.raises(EvertrainError):
        Reader(tmp_path / "folder").events()
