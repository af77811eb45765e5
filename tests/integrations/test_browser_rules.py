"""A browser game's settings, what is seen of it, and what it earns: pure functions."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from evertrain.core.errors import ConfigError
from evertrain.integrations.browser import Conflict, GameSettings
from evertrain.integrations.browser.host import is_elsewhere
from evertrain.integrations.browser.look import read_look
from evertrain.integrations.browser.observation import FEATURES, instruction, observe, reward
from evertrain.integrations.browser.script import init_script
from evertrain.integrations.browser.settings import CHROMIUM, find_chromium
from integrations.games import aircraft, look, settings


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"url": "klas"}, "url 'klas' is no http address"),
        ({"airport": "kl as; clear"}, "is no ICAO code"),
        ({"timewarp": 0.0}, "timewarp 0.0 is not above 0"),
        ({"step_s": math.nan}, "step_s nan is not above 0"),
        ({"slots": 0}, "slots 0 is no whole number above 0"),
        ({"frame_ms": 1.5}, "frame_ms 1.5 is no whole number above 0"),
        ({"conflict_cost": -1.0}, "conflict_cost -1.0 is not 0 or more"),
        ({"instructions": ()}, "instructions have to be lines"),
        ({"instructions": ("fh 090\nclear",)}, "instructions have to be lines"),
        ({"frame_ms": 1000, "timewarp": 1.0}, "frame_ms 1000 is a pause to the game"),
        ({"timewarp": 4000.0, "action_s": 400.0}, "a frame of 200 s is more than the game takes"),
        ({"action_s": 1.3}, "action_s 1.3 is 1.3 frames of 50 ms at timewarp 20"),
        ({"action_s": 0.2}, "action_s 0.2 is 0.2 frames"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, Any], fault: str) -> None:
    """Each is refused with its value before anything is started."""
    with pytest.raises(ConfigError, match=fault):
        settings(**changes)


def test_all_faults_of_settings_are_told_at_once() -> None:
    """Nobody corrects one after the other."""
    with pytest.raises(ConfigError, match=r"url .*; timewarp .*; slots "):
        GameSettings(url="", timewarp=-1.0, slots=-1)


def test_the_frames_of_an_action() -> None:
    """Seconds of the game over seconds of a frame, which the timewarp stretches."""
    assert settings(timewarp=20.0, frame_ms=50, action_s=5.0).frames == 5
    assert settings(timewarp=100.0, frame_ms=10, action_s=5.0).frames == 5


def test_where_the_browser_is(tmp_path: Path) -> None:
    """The settings' own, then the environment's, then one on the PATH, then Playwright's."""
    mine = tmp_path / "shell"
    mine.touch()

    def which(name: str) -> str | None:
        return "/usr/bin/chromium" if name == "chromium" else None

    assert find_chromium(str(mine), {CHROMIUM: "/other"}, which) == str(mine)
    assert find_chromium(None, {CHROMIUM: str(mine)}, which) == str(mine)
    assert find_chromium(None, {}, which) == "/usr/bin/chromium"
    assert find_chromium(None, {}, lambda _: None) is None
    with pytest.raises(ConfigError, match="there is no browser at '/nowhere'"):
        find_chromium("/nowhere", {}, which)


def row(observation: Any, slot: int) -> dict[str, float]:
    """Return the features of a slot by name."""
    values = observation.reshape(-1, len(FEATURES))[slot]
    return dict(zip(FEATURES, map(float, values), strict=True))


def test_what_is_observed() -> None:
    """Those that obey come first; an empty slot is all zeros; nothing goes beyond the limit."""
    far = aircraft("FAR1", is_controllable=False, position_km=(1e6, -25.0))
    near = aircraft("NEAR1", heading_rad=math.pi / 2, is_arrival=False, told_altitude_ft=3000.0)
    also = aircraft("ALSO1", altitude_ft=12_000.0, trend=-1.0)
    pairs = (Conflict((0, 1), is_violation=False), Conflict((1, 2), is_violation=True))

    seen = observe(look(far, near, also, conflicts=pairs), 4)

    first, second, third, last = (row(seen, slot) for slot in range(4))
    assert (first["heading_sin"], first["is_arrival"]) == (1.0, 0.0)
    assert first["told_altitude"] == pytest.approx(0.3)
    assert second["altitude"] == pytest.approx(1.2)
    assert second["trend"] == -1.0
    assert (third["east"], third["north"], third["is_controllable"]) == (10.0, -0.5, 0.0)
    assert [each["in_conflict"] for each in (first, second, third)] == [1.0, 1.0, 1.0]
    assert [each["in_violation"] for each in (first, second, third)] == [1.0, 1.0, 0.0]
    assert set(last.values()) == {0.0}


def test_whom_an_action_tells() -> None:
    """Slot 0 is nobody; an empty slot, or an aircraft that cannot hear, is told nothing."""
    scene = look(aircraft("OUT1", is_controllable=False), aircraft("IN1"))
    chosen = settings()

    assert instruction(scene, [1, 1], chosen) == "IN1 fh 270"
    assert [instruction(scene, [slot, 1], chosen) for slot in (0, 2, 3)] == ["", "", ""]


def test_what_a_step_earns() -> None:
    """Points since the last look, less what is close at the end of it."""
    before = look(score=20.0)
    pairs = (Conflict((0, 1), is_violation=False), Conflict((0, 2), is_violation=True))
    after = look(aircraft("A1"), aircraft("B1"), aircraft("C1"), conflicts=pairs, score=50.0)
    chosen = settings(points_per_reward=10.0, conflict_cost=0.25, violation_cost=0.5)

    assert reward(before, after, chosen) == pytest.approx(3.0 - 0.25 - 0.5)


SEEN: dict[str, Any] = {
    "aircraft": [
        {
            "callsign": "A1",
            "is_arrival": True,
            "is_controllable": True,
            "is_hit": False,
            "position_km": [1.5, None],
            "altitude_ft": 1000,
            "heading_rad": 0.5,
            "ground_speed_kt": 200,
            "trend": 0,
            "told": [None, 1.0, None],
        }
    ],
    "conflicts": [],
    "score": 3,
    "version": "1",
    "errors": {"count": 2, "last": "Error: boom"},
}


def test_what_a_page_tells() -> None:
    """What nobody was told is what it does; what is no number is 0."""
    seen = read_look(SEEN, "digest")

    [plane] = seen.aircraft
    assert plane.position_km == (1.5, 0.0)
    assert (plane.told_altitude_ft, plane.told_heading_rad, plane.told_speed_kt) == (1000, 1, 200)
    assert (seen.score, seen.errors, seen.last_error) == (3.0, 2, "Error: boom")


@pytest.mark.parametrize(
    "changes",
    [
        {"aircraft": 5},
        {"aircraft": [{}]},
        {"score": "many"},
        {"score": True},
        {"conflicts": [[0, 1, True]]},
        {"conflicts": [[0, -1, True]]},
        {"conflicts": [["0", "0", True]]},
        {"errors": None},
    ],
    ids=json.dumps,
)
def test_a_page_that_tells_nonsense(changes: dict[str, Any]) -> None:
    """It is one kind of error, whatever it is."""
    with pytest.raises(ValueError, match="something else than a game"):
        read_look(SEEN | changes, "digest")


@pytest.mark.parametrize("tree", [None, [], "text", 5])
def test_a_page_that_tells_something_else(tree: Any) -> None:
    """Not even an object."""
    with pytest.raises(ValueError, match="something else than a game"):
        read_look(tree, "digest")


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("http://127.0.0.1:3003/assets/airports/klas.json", False),
        ("data:image/png;base64,AAAA", False),
        ("blob:http://127.0.0.1:3003/1", False),
        ("http://127.0.0.1:3004/", True),
        ("https://127.0.0.1:3003/", True),
        ("http://127.0.0.1:3003.example.org/", True),
        ("https://www.google-analytics.com/collect", True),
    ],
)
def test_what_a_page_may_ask_for(address: str, refused: bool) -> None:  # noqa: FBT001
    """The game's own server; what others answer is not the same twice."""
    assert is_elsewhere(address, "http://127.0.0.1:3003/") == refused


def test_the_script_holds_the_seed_and_the_settings() -> None:
    """Both files, each called with its options."""
    script = init_script(settings(airport="KLAS"), 77)

    assert '(window, {"seed": 77, "epoch_ms": 1700000000000});' in script
    assert '"airport": "klas", "timewarp": 20.0, "frame_ms": 50, "frames": 20});' in script
