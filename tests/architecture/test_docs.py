"""The documentation says what is there, and what it names exists."""

import ast
import re
import struct
from dataclasses import fields
from pathlib import Path

import click
import pytest

from evertrain.checkpoint.manifest import Manifest
from evertrain.checkpoint.tree.decode import _KINDS
from evertrain.cli.main import COMMANDS, cli
from evertrain.core import errors, heartbeat
from evertrain.core.lock import Owner
from evertrain.core.rundir import Identity

REPO = Path(__file__).parents[2]
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")])
NAMES = [name for section in COMMANDS.values() for name in section]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of every page names a file of the repository."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_headings_that_exist(page: Path) -> None:
    """And one that is called after a guarantee, "P28", leads to that one."""
    links = re.findall(r"\[([^\]]*)\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text())
    inside = [
        (text, page.parent / to if to else page, at) for text, to, at in links if ":" not in to
    ]

    assert [at for _, to, at in inside if at not in anchors(to)] == []
    promises = [(text, at) for text, _, at in inside if re.fullmatch(r"P\d+", text)]
    assert [pair for pair in promises if not pair[1].startswith(f"{pair[0].lower()}-")] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", each) for each in headings]
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in plain}


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


_NO_FIELDS = {"sync", "must"}
_RECORDERS = {"record", "_record", "_tell", "_note"}


def documented_events() -> dict[str, set[str]]:
    """Return the fields that the journal's table in docs/format.md names, by event."""
    section = (REPO / "docs" / "format.md").read_text().partition("## journal.jsonl")[2]
    found: dict[str, set[str]] = {}
    for line in section.partition("\n## ")[0].splitlines():
        cells = line.split("|")
        spans = re.findall(r"`([^`]+)`", cells[2]) if len(cells) == 5 else []
        if spans:
            fields = set(spans[0].partition(":")[0].split())
            found |= dict.fromkeys(re.findall(r"`(\w+)`", cells[1]), fields)
    return found


def recorded_events() -> dict[str, set[str]]:
    """Return the fields that the code writes into the journal, by event, where it says so."""
    found: dict[str, set[str]] = {}
    for path in (REPO / "src").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for function in [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]:
            dicts = dict_literals(function)
            for call in [each for each in ast.walk(function) if isinstance(each, ast.Call)]:
                if is_recording(call):
                    event = ast.literal_eval(call.args[0])
                    found.setdefault(event, set()).update(fields_of(call, dicts))
    return found


def is_recording(call: ast.Call) -> bool:
    """Say whether `call` writes an event whose name stands there."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    first = call.args[0] if call.args else None
    return name in _RECORDERS and isinstance(first, ast.Constant) and isinstance(first.value, str)


def dict_literals(function: ast.FunctionDef) -> dict[str, set[str]]:
    """Return the keys of each dict that `function` writes out and gives a name."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            found[ast.unparse(target)] = keys_of(node.value)
    return found


def keys_of(node: ast.Dict) -> set[str]:
    """Return the keys that stand in a dict display."""
    return {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}


def fields_of(call: ast.Call, dicts: dict[str, set[str]]) -> set[str]:
    """Return the fields of one journal call: keywords, and dicts that are written out."""
    found = {each.arg for each in call.keywords if each.arg is not None} - _NO_FIELDS
    starred = [each.value for each in call.keywords if each.arg is None]
    for value in [*call.args[1:], *starred]:
        found |= (
            keys_of(value) if isinstance(value, ast.Dict) else dicts.get(ast.unparse(value), set())
        )
    return found


def test_every_field_of_the_journal_is_documented() -> None:
    """What an event is written with stands in its row of docs/format.md, and nothing else does."""
    documented, recorded = documented_events(), recorded_events()
    assert len(documented) >= 20
    assert len(recorded) >= 15

    missing = {event: sorted(fields - documented[event]) for event, fields in recorded.items()}
    assert {event: fields for event, fields in missing.items() if fields} == {}
    # Helpers add the attempt.
    stale = {event: sorted(documented[event] - recorded[event] - {"attempt"}) for event in recorded}
    assert {event: fields for event, fields in stale.items() if fields} == {}


def first_column(title: str) -> set[str]:
    """Return the fields that the first table under a heading of docs/format.md names."""
    section = (REPO / "docs" / "format.md").read_text().partition(f"\n{title}")[2]
    rows = re.findall(r"^\| (`[^|]+) \|", section.partition("\n## ")[0], flags=re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def keys_written(module: str, function: str, name: str) -> set[str]:
    """Return the keys of the dict `name` that a function of the code writes out."""
    tree = ast.parse((REPO / "src" / "evertrain" / module).read_text())
    nodes = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))
    return dict_literals(next(each for each in nodes if each.name == function))[name]


def test_every_field_of_a_file_is_documented() -> None:
    """run.json, leases, post-mortems and manifests hold what docs/format.md says, no more."""
    text = (REPO / "docs" / "format.md").read_text()
    lease = text.partition("## lock,")[2].partition("\n## ")[0]

    assert first_column("## run.json") == {each.name for each in fields(Identity)} | {"format"}
    assert first_column("## crashes") == keys_written(
        "supervise/postmortem.py", "write_crash", "row"
    )
    assert [each.name for each in fields(Owner) if f"`{each.name}`" not in lease] == []
    written = {each.name for each in fields(Manifest)} - {"size_bytes"}  # the file's own size
    assert written - first_column("## A checkpoint") == set()


def test_every_kind_of_leaf_is_documented() -> None:
    """What a skeleton may hold stands in docs/format.md, and nothing else does."""
    text = (REPO / "docs" / "format.md").read_text()
    listed = re.search(r"a `\$` that names its kind: (.+)\.\n", text)
    assert listed is not None

    assert sorted(re.findall(r"`(\w+)`", listed[1])) == sorted(_KINDS)


def test_the_heartbeats_layout_is_documented() -> None:
    """The offsets and sizes in the table are those of the file."""
    section = (REPO / "docs" / "format.md").read_text().partition("## heartbeat\n")[2]
    rows = re.findall(r"^\| (\d+) \| (\d+) \|", section.partition("\n## ")[0], flags=re.MULTILINE)
    parts = (heartbeat._BEAT, heartbeat._OWNER, heartbeat._PULSE)
    letters = "".join(part.format.strip("=") for part in parts)
    sizes = [struct.calcsize("=" + each) for each in re.findall(r"\d*\w", letters)]
    sizes = [len(heartbeat._MAGIC), *sizes, heartbeat._SPANS * heartbeat._SPAN.size]

    assert [int(size) for _, size in rows] == sizes
    assert [int(at) for at, _ in rows] == [sum(sizes[:index]) for index in range(len(rows))]
    assert f"{heartbeat._SIZE_BYTES:,} bytes" in section.partition("\n## ")[0]
    assert f"`{heartbeat._MAGIC[:14].decode()}`" in section.partition("\n## ")[0]


def test_nothing_names_a_machine() -> None:
    """No file of the repository carries an absolute path of a developer's machine."""
    files = [*PAGES, *(REPO / "src").rglob("*.py"), *(REPO / "tests").rglob("*.py")]
    pattern = re.compile(r"(?<![\w.])/(home|work|root|Users)/\w")

    assert [path.name for path in files if pattern.search(path.read_text())] == []
