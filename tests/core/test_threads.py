"""Work among threads, and without them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from evertrain.core.threads import spread, start


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse every thread."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.parametrize("threads", [1, 2, 9])
def test_results_come_in_order(threads: int) -> None:
    """Whoever is done first."""
    assert list(spread(lambda x: x * x, range(20), threads)) == [x * x for x in range(20)]
    assert list(spread(abs, [], threads)) == []


@pytest.mark.usefixtures("no_threads")
def test_without_threads_it_is_done_in_line() -> None:
    """In this one, all of it."""
    here = threading.get_ident()
    found = list(spread(lambda x: (x, threading.get_ident()), range(5), 4))
    assert found == [(x, here) for x in range(5)]


@pytest.mark.usefixtures("no_threads")
def test_an_error_is_that_of_its_job() -> None:
    """It is raised where the result is asked for."""
    with ThreadPoolExecutor(1) as pool:
        future = start(pool, int, "x")
        with pytest.raises(ValueError, match="x"):
            future.result()


def test_a_pool_that_was_shut_down_works_in_line() -> None:
    """As all of them are when the interpreter ends."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    assert start(pool, abs, -1).result() == 1
