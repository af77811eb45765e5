"""`evertrain.supervise.wire`: rows over a socket pair."""

import socket

from evertrain.supervise.wire import Order, Wire, decode_order, encode_order


def test_an_order_arrives_as_it_was_sent() -> None:
    """With and without a terminal, and with odd bytes in command and environment."""
    for size in (None, (33, 111)):
        order = Order(
            command=["x", "a b\n\u00e9"],
            env={"PATH": "/bin", "ODD": "\udcff = ["},
            run="/r",
            attempt=3,
            grace_s=1.5,
            size=size,
            hang="observe",
            hang_timeout_s=7.5,
        )
        mine, theirs = socket.socketpair()
        near, far = Wire(mine), Wire(theirs)
        assert near.tell(encode_order(order))
        heard = far.hear_first()
        assert heard is not None
        assert decode_order(heard[0]) == order
        near.close()
        far.close()


def test_what_follows_the_first_row_is_not_lost() -> None:
    """A stop that was sent before the shim had even started still counts."""
    mine, theirs = socket.socketpair()
    near, far = Wire(mine), Wire(theirs)
    for what in ("order", "stop", "force"):
        near.tell({"do": what})
    assert far.hear_first() == ({"do": "order"}, [{"do": "stop"}, {"do": "force"}])
    near.close()
    far.close()


def test_rows_in_pieces_are_put_together() -> None:
    """A stream has no borders."""
    mine, theirs = socket.socketpair()
    far = Wire(theirs)
    mine.sendall(b'{"do": "st')
    assert far.hear() == []
    mine.sendall(b'op"}\n{"do"')
    assert far.hear() == [{"do": "stop"}]
    mine.close()
    assert far.hear() is None
    assert far.hear_first() is None
    assert not far.tell({"do": "x" * 10_000_000})
    far.close()
