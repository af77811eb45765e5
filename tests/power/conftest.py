"""Parts of 64 bytes, so that small arrays lie in several files and are shared by rows."""

import pytest

from evertrain.checkpoint import cut, group


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut after 64 bytes instead of 2 MiB."""
    monkeypatch.setattr(cut, "PART_BYTES", 64)
    monkeypatch.setattr(group, "_WORTH_BYTES", 64)
