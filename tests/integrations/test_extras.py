"""Optional packages: imported late, and missed politely."""

import math

import pytest

from evertrain.core.errors import MissingExtraError
from evertrain.integrations.extras import require


def test_an_installed_package_is_returned() -> None:
    """What is there is imported."""
    assert require("math", extra="torch") is math


def test_a_missing_package_comes_with_the_command_that_installs_it() -> None:
    """The error names the extra, and is an ImportError too."""
    with pytest.raises(ImportError, match=r"pip install 'evertrain\[plot\]'") as caught:
        require("no_such_package.part", extra="plot")

    assert isinstance(caught.value, MissingExtraError)


def test_a_package_that_misses_something_itself_is_not_blamed_on_the_extra(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ImportError from inside an installed package passes through."""
    from pathlib import Path

    (Path(str(tmp_path)) / "broken_package.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ModuleNotFoundError, match="surely_not_installed") as caught:
        require("broken_package", extra="torch")

    assert not isinstance(caught.value, MissingExtraError)
