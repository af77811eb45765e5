"""The ends of files that may be huge."""

from pathlib import Path

from evertrain.monitor.tail import tail_rows


def test_the_tail_of_a_huge_file(tmp_path: Path) -> None:
    """Only the end is read; the line that the cut tears apart is left out."""
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"".join(b'{"step":%d}\n' % step for step in range(20_000)))

    rows = tail_rows(path)

    assert rows[-1] == {"step": 19_999}
    assert 1_000 < len(rows) < 10_000
    assert tail_rows(tmp_path / "gone") == ()
