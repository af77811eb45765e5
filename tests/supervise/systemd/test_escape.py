"""`evertrain.supervise.systemd.escape`: systemd reads every word back as it was."""

import ctypes
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evertrain.core.errors import ConfigError
from evertrain.supervise.systemd.escape import (
    argument,
    assignment,
    command_line,
    path_value,
    quoted,
    remark,
)

_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}


def read_word(text: str) -> bytes:
    """Return the one word that systemd.syntax(7) makes of `text`."""
    out, quote, position = b"", "", 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\\":
            follows = text[position]
            position += 1
            if follows == "x":
                out += bytes([int(text[position : position + 2], 16)])
                position += 2
            else:
                out += _SIMPLE.get(follows, follows).encode()
        elif quote:
            quote = "" if character == quote else quote
            out += b"" if not quote else character.encode()
        elif character in "\"'":
            quote = character
        else:
            assert not character.isspace(), "two words"
            out += character.encode()
    assert not quote, "a quote that does not end"
    return out


def expanded(word: bytes, *, with_variables: bool) -> bytes:
    """Return a word after specifiers and variables, of which there must be none."""
    assert re.search(rb"(?<!%)(%%)*%(?!%)", word) is None
    word = word.replace(b"%%", b"%")
    if with_variables:
        assert re.search(rb"(?<!\$)(\$\$)*\$(?!\$)", word) is None
        word = word.replace(b"$$", b"$")
    return word


NASTY = st.text(
    st.sampled_from("a %$\"'\\\n\t\r;#={}~\x01\x7f\u00e9\udcff")
    | st.characters(exclude_characters="\0"),
    max_size=20,
)  # fmt: skip


@given(NASTY)
@example("")
@example('it\'s 100% "sure" $HOME ${x} \\n \\')
@example(";")
@example("-")
def test_every_word_survives(text: str) -> None:
    """Whatever is in it: percent, dollar, quotes, spaces, control characters, bytes."""
    try:
        raw = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return  # no such word exists on a POSIX command line
    assert expanded(read_word(argument(text)), with_variables=True) == raw
    named = expanded(read_word(assignment("NAME", text)), with_variables=False)
    assert named == b"NAME=" + raw
    assert "\n" not in argument(text) + command_line([text, text]) + assignment("NAME", text)


def test_the_program_of_a_command_line() -> None:
    """No variable is expanded in it; what systemd refuses there is started by a shell."""
    assert command_line(["/a b/100%/$x", "-P", "$y"]) == '"/a b/100%%/$x" -P $$y'
    through = command_line(["/it's/python", "-P"])
    assert through == '/bin/sh -c "exec \\"$$0\\" \\"$$@\\"" "/it\'s/python" -P'


_UNQUOTE_AND_UNESCAPE = 1 << 5 | 1 << 1  # as of v252


def _systemd_reads(text: bytes) -> bytes | None:
    """Return the one word that systemd's own parser makes of `text`; None without systemd."""
    found = list(Path("/usr/lib").glob("*/systemd/libsystemd-shared-252.so"))
    if not found:
        return None
    rest, word = ctypes.c_char_p(text), ctypes.c_char_p()
    read = ctypes.CDLL(str(found[0])).extract_first_word
    assert read(ctypes.byref(rest), ctypes.byref(word), None, _UNQUOTE_AND_UNESCAPE) == 1
    assert not rest.value, "two words"
    return word.value


@pytest.mark.parametrize(
    "text",
    ["", "plain", "two words", "it's \"so\"", "a\\b\\\\n", "x\ny\tz\r\x01\x7f", "d\u00e9j\u00e0",
     "\udcff", ";"],
)  # fmt: skip
def test_systemds_own_parser_reads_it(text: str) -> None:
    """The word comes out of the code that reads unit files, where this machine has it."""
    found = _systemd_reads(quoted(text).encode(errors="surrogateescape"))
    if found is None:
        pytest.skip("NOT TESTED, no systemd v252 here: apt-get install systemd (Debian 12)")
    assert found == text.encode(errors="surrogateescape")


def test_a_directory_that_cannot_be_said_is_refused() -> None:
    """Those settings take the line as it is."""
    assert path_value("WorkingDirectory", '/a b/100%/"q"/$x') == '/a b/100%%/"q"/$x'
    for path in ("/a\nb", "/end ", "/end\\", "/a\x07"):
        with pytest.raises(ConfigError, match="cannot be said"):
            path_value("WorkingDirectory", path)


def test_a_remark_stays_in_its_line() -> None:
    """No line break, no backslash that would continue it."""
    assert remark("a\nExecStart=/bad\\") == "a?ExecStart=/bad?"
