"""What the BlueSky environments are made of, without the simulator."""

import random
from pathlib import Path

import numpy as np
import pytest

from evertrain.integrations.bluesky.approach import LOOK_AHEAD_S, closest_approach
from evertrain.integrations.bluesky.conflict import Flight, conflicts
from evertrain.integrations.bluesky.generators import Stream
from evertrain.integrations.bluesky.home import prepared

NM = 1 / 60  # degrees of latitude


def flight(*rows: tuple[float, float, float, float]) -> Flight:
    """Return aircraft at (latitude, longitude) that fly (track in degrees, speed in m/s)."""
    return Flight(*(np.array(column, np.float64) for column in zip(*rows, strict=True)))


@pytest.mark.parametrize(
    ("other", "is_conflict"),
    [
        ((30 * NM, 0.0, 180.0, 200.0), True),  # head on: they meet after 139 s
        ((30 * NM, 0.0, 0.0, 200.0), False),  # ahead, at the same speed
        ((30 * NM, 0.0, 0.0, 100.0), False),  # overtaken, but after more than five minutes
        ((8 * NM, 0.0, 0.0, 100.0), True),  # overtaken soon
        ((-30 * NM, 0.0, 180.0, 200.0), False),  # behind, and leaving
        ((-4 * NM, 0.0, 180.0, 200.0), True),  # leaving, and still too close
        ((20 * NM, 20 * NM, 270.0, 200.0), True),  # both at the crossing at once
        ((20 * NM, 40 * NM, 270.0, 200.0), False),  # it comes there later
        ((80 * NM, 0.0, 180.0, 200.0), False),  # in time, but not within five minutes
    ],
)
def test_a_conflict_is_a_course_into_the_protected_zone(
    other: tuple[float, float, float, float],
    *,
    is_conflict: bool,
) -> None:
    """The own aircraft flies north at 200 m/s from the equator, the zone is 5 NM."""
    found = conflicts(flight((0.0, 0.0, 0.0, 200.0), other), own=0, separation_nm=5.0)

    assert found.tolist() == [False, is_conflict]


def test_degrees_of_longitude_shrink_to_the_north() -> None:
    """At 60 degrees, 8/60 of a degree to the east is 4 nautical miles."""
    two = flight((60.0, 0.0, 0.0, 200.0), (60.0, 8 * NM, 0.0, 200.0))

    assert conflicts(two, own=0, separation_nm=5.0).tolist() == [False, True]
    assert conflicts(two, own=0, separation_nm=3.9).tolist() == [False, False]


@pytest.mark.parametrize(
    ("place", "velocity", "there", "seconds"),
    [
        ((10, 3), (-1, 0), (0, 3), 10),  # it passes on the right
        ((10, 3), (1, 0), (10, 3), 0),  # it is on its way out
        ((10, 3), (0, 0), (10, 3), 0),  # alongside for ever
        ((1000, 0), (-1, 0), (1000 - LOOK_AHEAD_S, 0), LOOK_AHEAD_S),  # later than one looks
        ((0, -8), (2, 2), (4, -4), 2),
    ],
)
def test_the_closest_approach_is_where_others_are_nearest(
    place: tuple[float, float],
    velocity: tuple[float, float],
    there: tuple[float, float],
    seconds: float,
) -> None:
    """Straight on at constant speed; each of several aircraft by itself."""
    places, velocities = (np.array([each, (5, 5)], np.float64).T for each in (place, velocity))

    found, times = closest_approach(places, velocities)

    assert found[:, 0].tolist() == pytest.approx(there)
    assert times.tolist() == pytest.approx([seconds, 0])
    assert found[:, 1].tolist() == pytest.approx((5, 5))


def draw() -> tuple[float, float]:
    """Draw from both global generators."""
    return random.random(), float(np.random.random())  # noqa: NPY002


def test_streams_are_apart_from_each_other_and_from_the_process() -> None:
    """Lent in turn, each goes on where it was; the generators between are the process's own."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    alone = [draw() for _ in range(3)]
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    one, two, again = Stream(7), Stream(8), Stream(7)
    found: dict[str, list[tuple[float, float]]] = {"one": [], "two": [], "own": []}
    for _ in range(3):
        for name, stream in (("one", one), ("two", two)):
            with stream.lent():
                found[name].append(draw())
        found["own"].append(draw())
    with again.lent():
        expected = [draw() for _ in range(3)]

    assert found["own"] == alone
    assert found["one"] == expected
    assert found["two"] != expected


def test_a_stream_comes_back_from_an_error() -> None:
    """A simulator that raises takes nothing with it."""
    random.seed(1)
    before = random.getstate()

    with pytest.raises(ZeroDivisionError), Stream(7).lent():
        draw()
        _ = 1 / 0

    assert random.getstate() == before


def test_a_directory_that_was_never_finished_is_made_anew(tmp_path: Path) -> None:
    """A first start that dies leaves a part of the navigation data; the next one begins again."""
    place = tmp_path / "cache" / "evertrain" / "bluesky"
    with pytest.raises(KeyboardInterrupt), prepared(place) as path:
        (path / "navdata.p").write_bytes(b"half")
        raise KeyboardInterrupt

    with prepared(place) as path:
        assert list(path.iterdir()) == []
        (path / "navdata.p").write_bytes(b"whole")
    with prepared(place) as path:
        assert (path / "navdata.p").read_bytes() == b"whole"
        (path / "settings.cfg").write_bytes(b"")
    assert (place / "settings.cfg").exists()
