"""`segue login --sso`: sign in through a browser, which brings a code back to this machine.

The command listens on a port of 127.0.0.1 that the system chooses. Where the browser runs on another machine, its
last address, which it cannot open there, is pasted here instead.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sys
import threading
import webbrowser
from base64 import urlsafe_b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from segue.bootstrap import ServerFile
from segue.cli.ask import Request, ask_server
from segue.cli.output import say
from segue.service import ServiceError

WAIT_SECONDS: Final = 600.0
_DONE: Final = b"Signed in. You can close this window and go back to the terminal.\n"


def sign_in(
    address: str, *, provider: str = "", paste: bool = False, browse: Callable[[str], Any] = webbrowser.open
) -> dict[str, Any]:
    """The session of whoever signs in through their browser.

    Args:
        provider: Which of several; the browser lets them choose where it is left out.
        paste: The browser runs elsewhere; read its last address from the terminal.

    Raises:
        ServiceError: `sso-refused` where nobody signed in; what the server refused.
    """
    verifier, mark = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    digest = hashlib.sha256(verifier.encode()).digest()
    with _Waiting(mark) as waiting:
        asked = {"port": waiting.port, "challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(), "mark": mark}
        asked |= {"provider": provider} if provider else {}
        url = f"{address.rstrip('/')}/api/v1/login/oidc?{urlencode(asked)}"
        say(f"sign in at {url}")
        if paste:
            say("then paste the address that your browser ends at, which it cannot open:")
            code = code_in(sys.stdin.readline().strip(), mark)
        else:
            browse(url)
            code = waiting.code()
    if code is None:
        raise ServiceError("sso-refused", "Nobody signed in.")
    server = ServerFile(url=address, token="", pid=0)
    session: dict[str, Any] = ask_server(
        server, Request("POST", "/login/oidc/session", body={"code": code, "verifier": verifier})
    )
    return session


def code_in(address: str, mark: str) -> str | None:
    """The code that an address brings; None where it belongs to another sign-in."""
    given = parse_qs(urlsplit(address).query)
    fits = hmac.compare_digest(given.get("mark", [""])[0].encode(), mark.encode())
    return given["code"][0] if fits and "code" in given else None


class _Waiting:
    """A server for the one request that brings the code."""

    def __init__(self, mark: str) -> None:
        self._code: str | None = None
        self._came = threading.Event()
        waiting = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                code = code_in(self.path, mark)
                self.send_response(200 if code else 404)
                self.send_header("content-type", "text/plain; charset=utf-8")
                self.send_header("referrer-policy", "no-referrer")
                self.end_headers()
                if code:
                    self.wfile.write(_DONE)
                    waiting._code = code
                    waiting._came.set()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: the address holds the code."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def code(self) -> str | None:
        self._came.wait(WAIT_SECONDS)
        return self._code

    def __enter__(self) -> _Waiting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
