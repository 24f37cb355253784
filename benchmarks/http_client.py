"""What the HTTP client adds to what a server did: times and throughput against a server that keeps a schedule.

A server in a process of its own streams, to every request, a first token after 50 ms and then 1 to 4 tokens every
30 ms. It notes when requests arrived and when it wrote; on Linux its clock is ours. Both processes need a core each:

    python benchmarks/http_client.py --concurrency 64 512 --out benchmarks/results/http_client.json
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import platform
import re
import statistics
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.engines.base import Emission, Request
from pytest_speedbench.engines.openai.engine import OpenAIEngine

FIRST_S, STEP_S, TOKENS = 0.05, 0.03, 256
SIZES = (1, 4, 2, 3)
_MODELS = json.dumps({"data": [{"id": "scheduled", "max_model_len": 4096}]}).encode()
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAMS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Seen:
    """One request: ``perf_counter()`` at its start, at its first token and at its last."""

    began_s: float
    first_s: float = 0.0
    last_s: float = 0.0


@dataclass
class Scheduled(asyncio.Protocol):
    """One connection of the server."""

    seen: list[Seen]
    received: bytes = b""
    transport: Any = field(default=None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is whole."""
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if not end or len(body) < length:
            return
        self.received = b""
        if not head.startswith(b"POST"):
            found = head.startswith(b"GET /v1/models")
            page, status = (_MODELS, b"200 OK") if found else (b"", b"404 Not Found")
            self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(page), page))
            return
        asked, now = json.loads(body), asyncio.get_running_loop().time()
        request = Seen(time.perf_counter())
        if asked["max_tokens"] == TOKENS:
            self.seen.append(request)
        self.transport.write(_STREAMS)
        self.step(request, asked["max_tokens"], len(asked["prompt"]), 0, itertools.cycle(SIZES), now + FIRST_S)

    def step(self, request: Seen, left: int, prompt: int, done: int, sizes: Any, due: float) -> None:
        """Write a chunk when it is due, and see to the next."""
        asyncio.get_running_loop().call_at(due, self.write, request, left, prompt, done, sizes, due)

    def write(self, request: Seen, left: int, prompt: int, done: int, sizes: Any, due: float) -> None:
        """Write a chunk now."""
        if self.transport.is_closing():
            return
        count = min(next(sizes), left)
        last = count == left
        choice = {"index": 0, "text": "", "token_ids": [7] * count, "finish_reason": "length" if last else None}
        payloads = [json.dumps({"object": "text_completion", "choices": [choice]})]
        if last:
            usage = {"prompt_tokens": prompt, "completion_tokens": done + count}
            payloads += [json.dumps({"choices": [], "usage": usage}), "[DONE]"]
        body = "".join(f"data: {payload}\n\n" for payload in payloads).encode()
        request.last_s = time.perf_counter()
        request.first_s = request.first_s or request.last_s
        self.transport.write(b"%x\r\n%s\r\n%s" % (len(body), body, b"0\r\n\r\n" if last else b""))
        if not last:
            self.step(request, left - count, prompt, done + count, sizes, due + STEP_S)


def serve(pipe: Connection) -> None:
    """Serve until something comes through the pipe; then say what was seen."""

    async def session() -> None:
        loop, seen = asyncio.get_running_loop(), list[Seen]()
        server = await loop.create_server(lambda: Scheduled(seen), "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)
        pipe.send(seen)

    asyncio.run(session())


async def load(url: str, concurrency: int, rounds: int) -> tuple[list[Seen], float, int]:
    """What the client saw, its processor time in seconds, and how many emissions it had."""
    engine = OpenAIEngine(Pair("scheduled", "openai", "bundled:target", endpoint=url))
    await engine.start()
    seen: list[Seen] = []
    emissions = 0

    async def one() -> None:
        nonlocal emissions
        for _ in range(rounds):
            began_s = time.perf_counter()
            items = engine.generate(Request("r", tuple(range(100)), Sampling(TOKENS)))
            times = [item.at_s async for item in items if isinstance(item, Emission)]
            emissions += len(times)
            seen.append(Seen(began_s, times[0], times[-1]))

    began_s = time.process_time()
    await asyncio.gather(*(one() for _ in range(concurrency)))
    spent_s = time.process_time() - began_s
    await engine.stop()
    return seen, spent_s, emissions


def throughput(seen: list[Seen]) -> float:
    """Output tokens per second."""
    return len(seen) * TOKENS / (max(s.last_s for s in seen) - min(s.began_s for s in seen))


def measure(concurrency: int, rounds: int) -> dict[str, float]:
    """One load against a new server."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    client, spent_s, emissions = asyncio.run(load(f"http://127.0.0.1:{ours.recv()}", concurrency, rounds))
    ours.send(None)
    truth: list[Seen] = ours.recv()
    server.join()
    late = sorted(s.first_s - s.began_s for s in client)
    return {
        "concurrency": concurrency,
        "requests": len(client),
        "output_tps_error_percent": round(100 * (throughput(client) / throughput(truth) - 1), 2),
        "mean_ttft_ms": round(1000 * statistics.mean(late), 1),
        "mean_ttft_by_the_server_ms": round(1000 * statistics.mean(s.first_s - s.began_s for s in truth), 1),
        "client_cpu_us_per_emission": round(1e6 * spent_s / emissions, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--rounds", type=int, default=3, help="requests one after the other at each place")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [measure(concurrency, options.rounds) for concurrency in options.concurrency]
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        command = " ".join(["python", "benchmarks/http_client.py", *sys.argv[1:]])
        result = {"command": command, "python": platform.python_version(), "loads": rows}
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
