"""The documentation says what is there, and what it names exists."""

import re
from pathlib import Path

import click
import pytest

from evertrain.cli.main import COMMANDS, cli
from evertrain.core import errors

REPO = Path(__file__).parents[2]
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")])
NAMES = [name for section in COMMANDS.values() for name in section]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of every page names a file of the repository."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert broken == []


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_documented(name: str) -> None:
    """A command that the program has stands in docs/cli.md."""
    assert re.search(rf"`(evertrain )?{name}\b", (REPO / "docs" / "cli.md").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_command_shows_an_example(name: str) -> None:
    """`--help` of each command has a summary and an example to copy."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    parts = [command, *getattr(command, "commands", {}).values()]

    for part in parts:
        text = f"{part.help} {part.epilog}"
        assert part.help
        assert "evertrain " in text or isinstance(part, click.Group), part.name


def test_every_exit_code_is_documented() -> None:
    """Each code that an error or the program ends with stands in the table."""
    table = (REPO / "docs" / "cli.md").read_text()
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}

    assert [code for code in sorted(codes) if f"| {code} |" not in table] == []


def test_every_guarantee_names_a_test_that_exists() -> None:
    """A promise without a test is not made."""
    text = (REPO / "GUARANTEES.md").read_text()
    promises = re.findall(r"^### P\d+", text, flags=re.MULTILINE)
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)

    assert len(promises) >= 10
    assert len(named) >= len(promises)
    for path, function in named:
        assert f"def {function}(" in (REPO / path).read_text(), f"{path}::{function}"


def test_every_journal_event_is_documented() -> None:
    """What the code records stands in docs/format.md."""
    text = (REPO / "docs" / "format.md").read_text()
    recorded: set[str] = set()
    for path in (REPO / "src").rglob("*.py"):
        recorded |= set(re.findall(r"(?:\.record|_note)\(\s*\"(\w+)\"", path.read_text()))

    assert [event for event in sorted(recorded) if f"`{event}`" not in text] == []


def test_nothing_names_a_machine() -> None:
    """No file of the repository carries an absolute path of a developer's machine."""
    files = [*PAGES, *(REPO / "src").rglob("*.py"), *(REPO / "tests").rglob("*.py")]
    pattern = re.compile(r"(?<![\w.])/(home|work|root|Users)/\w")

    assert [path.name for path in files if pattern.search(path.read_text())] == []
