"""A Hub on the loopback that knows one model: input for tests/test_models_hub.py."""

from __future__ import annotations

import http.server
import json
from pathlib import Path
from typing import Any

COMMIT = "c" * 40
NAME = "someone/tiny-bert"


class FakeHub(http.server.BaseHTTPRequestHandler):
    """A server with that part of the Hub's protocol that fetching a model takes."""

    protocol_version = "HTTP/1.1"
    root: Path
    requests: list[str]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        self.requests.append(self.path)
        path = self.path.partition("?")[0]
        if path in (f"/api/models/{NAME}", f"/api/models/{NAME}/revision/main"):
            names = sorted(str(file.relative_to(self.root)) for file in self.root.rglob("*") if file.is_file())
            info = {"id": NAME, "modelId": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            self.send(200, json.dumps(info).encode(), body)
        elif path.startswith("/api/models/gated/"):
            self.send(403, b"{}", body, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        elif path.startswith(f"/api/models/{NAME}/"):
            self.send(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
        elif path.startswith("/api/models/broken/"):
            self.send(500, b"{}", body)
        elif path.startswith("/api/models/"):
            self.send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})
        else:
            self.send_file(path, body)

    def send_file(self, path: str, body: bool) -> None:
        file = self.root / path.split("/", 5)[5]
        facts = {"ETag": f'"{file.name}-tag"', "X-Repo-Commit": COMMIT}
        self.send(200, file.read_bytes(), body, facts)

    def send(self, status: int, content: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass
