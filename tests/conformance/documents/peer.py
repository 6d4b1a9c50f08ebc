"""A local HTTP server that expects certain requests in order and gives canned replies."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

Exchange = dict[str, Any]


class Peer:
    """The server; `expect` loads the exchanges of one case, `complaints` says what did not go as expected."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._exchanges: list[Exchange] = []
        self._complaints: list[str] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def expect(self, exchanges: list[Exchange]) -> None:
        """Begin a case."""
        with self._lock:
            self._exchanges = list(exchanges)
            self._complaints = []

    def complaints(self) -> list[str]:
        """What was wrong with the requests, and which ones never came."""
        with self._lock:
            missing = [f"never came: {exchange['request']}" for exchange in self._exchanges]
            return self._complaints + missing

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to the next expected request; a status nobody uses when it was another one."""
        with self._lock:
            if not self._exchanges:
                self._complaints.append(f"unexpected: {request['method']} {request['target']}")
                return {"status": 599}
            exchange = self._exchanges.pop(0)
            wrong = _differences(exchange.get("request", {}), request)
            self._complaints.extend(wrong)
            return {"status": 599} if wrong else exchange.get("reply", {})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                target = {"method": self.command, "target": self.path, "headers": headers, "body": body}
                self._send(peer.answer(target))

            def _send(self, reply: dict[str, Any]) -> None:
                content, kind = b"", reply.get("type")
                if "json" in reply:
                    content, kind = json.dumps(reply["json"]).encode(), kind or "application/json"
                elif "text" in reply:
                    content, kind = reply["text"].encode(), kind or "text/plain"
                status = int(reply.get("status", 200))
                self.send_response(status)
                if kind:
                    self.send_header("Content-Type", kind)
                for name, value in reply.get("headers", {}).items():
                    self.send_header(name, value)
                if status not in (204, 304):
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if status not in (204, 304):
                    self.wfile.write(content)
                self.wfile.flush()

            def log_message(self, *_: Any) -> None:
                return

        return Handler


def _differences(wanted: dict[str, Any], got: dict[str, Any]) -> list[str]:
    path, _, query = got["target"].partition("?")
    seen: dict[str, Any] = {"method": got["method"], "path": path, "query": dict(parse_qsl(query, True))}
    if "json" in wanted:
        try:
            seen["json"] = json.loads(got["body"])
        except ValueError:
            seen["json"] = got["body"]
    if "text" in wanted:
        seen["text"] = got["body"].decode()
    wrong = [
        f"{key}: wanted {wanted[key]!r}, got {seen[key]!r}"
        for key in seen
        if key in wanted and wanted[key] != seen[key]
    ]
    for name, value in wanted.get("headers", {}).items():
        if got["headers"].get(name) != value:
            wrong.append(f"header {name}: wanted {value!r}, got {got['headers'].get(name)!r}")
    for name, value in wanted.get("header_starts", {}).items():
        if not got["headers"].get(name, "").startswith(value):
            wrong.append(f"header {name}: wanted {value!r}…, got {got['headers'].get(name)!r}")
    form = dict(parse_qsl(got["body"].decode("latin-1"))) if "form" in wanted else {}
    for name, value in wanted.get("form", {}).items():
        if form.get(name) != value:
            wrong.append(f"form field {name}: wanted {value!r}, got {form.get(name)!r}")
    return wrong
