"""How a server comes up."""

from __future__ import annotations

import contextlib
import socket

import pytest

from segue.bootstrap import _bind, _listen
from segue.service import ServiceError, Settings


def test_nobody_gets_in_before_the_server_can_answer() -> None:
    """A client that is refused asks again; one that is let in too early waits for as long as recovery takes."""
    settings = Settings(port=0)
    with contextlib.closing(_bind(settings)) as listener:
        place = listener.getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place, timeout=5)
        _listen(listener, settings)
        socket.create_connection(place, timeout=5).close()


def test_a_taken_port_is_refused_before_anything_is_opened() -> None:
    """Recovery of a large folder should not come before the news that it was in vain."""
    with contextlib.closing(_bind(Settings(port=0))) as listener:
        _listen(listener, Settings())
        with pytest.raises(ServiceError, match="cannot be bound"):
            _bind(Settings(port=listener.getsockname()[1]))
