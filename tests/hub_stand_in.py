"""A small HTTP server in the place of the hub and of raw files on GitHub, with made-up datasets."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_speedbench.splits.speed_bench import PLACEHOLDER, REPOSITORY, ROWS

Files = Mapping[str, bytes]


@dataclass
class Repository:
    """A dataset: commits, and what its branches stand for. ``refusal`` is an HTTP status and the hub's error code."""

    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    refusal: tuple[int, str] | None = None

    def commit(self, files: Files, ref: str = "main") -> str:
        """Add a commit and move a branch to it; returns its hash."""
        digest = hashlib.sha1(usedforsecurity=False)
        for name in sorted(files):
            digest.update(name.encode() + b"\0" + files[name])
        sha = digest.hexdigest()
        self.commits[sha] = files
        self.refs[ref] = sha
        return sha


@dataclass
class HubStandIn:
    """What the server knows, and what it was asked. With ``failure`` it answers everything with that HTTP status."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    failure: int | None = None
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def add(self, repo_id: str, files: Files) -> str:
        """Add a dataset, or a commit to it; returns the commit."""
        return self.repositories.setdefault(repo_id, Repository()).commit(files)

    def downloads(self) -> list[str]:
        """The files of datasets that were fetched."""
        return [line.partition("/resolve/")[2].partition("/")[2] for line in self.asked if line.startswith("GET /d")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubStandIn

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.failure is not None:
            self._refuse(self.hub.failure, "")
        elif path.startswith("/raw/"):
            content = self.hub.raw.get(path.removeprefix("/raw/"))
            if content is None:
                self._refuse(404, "")
            else:
                self._send(content, {})
        elif path.startswith("/api/datasets/"):
            self._api(path.removeprefix("/api/datasets/"), body)
        elif path.startswith("/datasets/"):
            self._file(path.removeprefix("/datasets/"))
        else:
            self._refuse(404, "")

    def _api(self, path: str, body: bytes) -> None:
        owner, name, *rest = path.split("/")
        what, revision = (rest[0], rest[1]) if len(rest) > 1 else ("revision", "main")
        found = self._find(f"{owner}/{name}", revision)
        if found is None:
            return
        sha, files = found
        if what == "tree":
            below = "/".join(rest[2:])
            self._json([*_entries(files, below, deep="recursive=true" in self.path.lower())])
        elif what == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            self._json([entry for entry in _entries(files, "", deep=True) if entry["path"] in wanted])
        else:
            siblings = [{"rfilename": path} for path in files]
            self._json({"id": f"{owner}/{name}", "sha": sha, "siblings": siblings, "private": False, "tags": []})

    def _file(self, path: str) -> None:
        owner, name, _resolve, revision, *parts = path.split("/")
        found = self._find(f"{owner}/{name}", revision)
        if found is None:
            return
        sha, files = found
        content = files.get("/".join(parts))
        if content is None:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": sha})
        else:
            self._send(content, {"X-Repo-Commit": sha, "ETag": f'"{_oid(content)}"'})

    def _find(self, repo_id: str, revision: str) -> tuple[str, Files] | None:
        repository = self.hub.repositories.get(repo_id)
        if repository is None:
            self._refuse(404, "RepoNotFound")
        elif repository.refusal is not None:
            self._refuse(*repository.refusal)
        else:
            sha = repository.refs.get(revision, revision)
            if sha in repository.commits:
                return sha, repository.commits[sha]
            self._refuse(404, "RevisionNotFound")
        return None

    def _json(self, value: Any) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(b"", {**(headers or {}), **({"X-Error-Code": code} if code else {})}, status)

    def _send(self, content: bytes, headers: Mapping[str, str], status: int = 200) -> None:
        wanted = self.headers.get("Range")
        if wanted and status == 200:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            total, start = len(content), int(first)
            content = content[start : int(last) + 1 if last else None]
            headers = {**headers, "Content-Range": f"bytes {start}-{start + len(content) - 1}/{total}"}
            status = 206
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _entries(files: Files, below: str, *, deep: bool) -> Iterator[dict[str, Any]]:
    """The hub's listing of a folder: files, and folders."""
    prefix = f"{below}/" if below else ""
    folders: set[str] = set()
    for path, content in files.items():
        if not path.startswith(prefix):
            continue
        parents = path.removeprefix(prefix).split("/")[:-1]
        folders.update(
            prefix + "/".join(parents[: end + 1]) for end in range(len(parents) if deep else min(1, len(parents)))
        )
        if deep or not parents:
            yield {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
    for folder in sorted(folders):
        yield {"type": "directory", "path": folder, "size": 0, "oid": _oid(folder.encode())}


@contextmanager
def serving(hub: HubStandIn) -> Iterator[HubStandIn]:
    """Run it on a free port of this machine."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def point_to(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub, here and in processes that are started, talk to this hub and keep its cache in ``home``."""
    from huggingface_hub import constants

    for name, value in (("HF_ENDPOINT", url), ("HF_HOME", str(home)), ("HF_HUB_DISABLE_PROGRESS_BARS", "1")):
        monkeypatch.setenv(name, value)
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)


def rows_of(config: str, placeholders: int = 0) -> list[dict[str, Any]]:
    """Made-up rows in the number that a config has; the first so many of each category are placeholders."""
    rows = []
    for category, count in ROWS[config].items():
        for number in range(count):
            name = f"{category}-{number}"
            text = f"{PLACEHOLDER}\n\nTell {{question}}" if number < placeholders else f"Tell me of {name}. Grüße 🙂"
            turns = [text, "And then?"] if number % 4 == 3 else [text]
            question_id = hashlib.sha256(name.encode()).hexdigest()[:16]
            row: dict[str, Any] = {"question_id": question_id, "category": category, "turns": turns}
            row.update(sub_category="", source="made-up", src_id=name, difficulty="easy", multiturn=len(turns) > 1)
            rows.append(row)
    return rows


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as a parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


def card(configs: object) -> bytes:
    """A dataset card with this ``configs`` entry in its header. JSON is YAML."""
    return f"---\nlicense: other\nconfigs: {json.dumps(configs)}\n---\n# Made up\n".encode()


def speed_bench(*configs: str, placeholders: int = 0) -> Files:
    """The files of a dataset such as SPEED-Bench with these configs."""
    entries = [{"config_name": c, "data_files": [{"split": "test", "path": f"{c}/test-*.parquet"}]} for c in configs]
    files = {f"{c}/test-00000-of-00001.parquet": parquet(rows_of(c, placeholders)) for c in configs}
    return {"README.md": card(entries), **files}


def add_speed_bench(hub: HubStandIn, *configs: str, placeholders: int = 0) -> str:
    """Add it under its real name; returns the commit."""
    return hub.add(REPOSITORY, speed_bench(*configs, placeholders=placeholders))
