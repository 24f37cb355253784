"""A promise and how it is held."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pytest_speedbench.conformance.findings import AbsentError, BrokenPromiseError, Finding, NotAskedError, Outcome
from pytest_speedbench.conformance.subject import Subject
from pytest_speedbench.errors import EngineError, UnsupportedError

Check = Callable[[Subject], Awaitable[str]]
"""Returns one line of figures if the promise is kept; raises one of :mod:`..findings` if it is not."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What every adapter promises: a short name, the promise in words, and the check."""

    name: str
    title: str
    check: Check


async def hold(promise: Promise, subject: Subject) -> Finding:
    """Check one promise. An engine that failed or fell silent is discarded; the next check gets a fresh one."""
    began = time.perf_counter()
    outcome, words = await _outcome(promise, subject)
    return Finding(promise.name, promise.title, outcome, " ".join(words.split()), time.perf_counter() - began)


async def _outcome(promise: Promise, subject: Subject) -> tuple[Outcome, str]:
    try:
        return Outcome.KEPT, await promise.check(subject)
    except NotAskedError as why:
        return Outcome.SKIPPED, str(why)
    except (AbsentError, UnsupportedError) as why:
        return Outcome.ABSENT, why.problem if isinstance(why, UnsupportedError) else str(why)
    except BrokenPromiseError as why:
        return Outcome.BROKEN, str(why)
    except EngineError as error:
        await subject.discard()
        return Outcome.BROKEN, f"the engine failed: {error.problem} {error.remedy}"
    except Exception as error:  # an adapter may raise anything, and the other promises are still to be held
        await subject.discard()
        return Outcome.BROKEN, f"the engine raised {type(error).__name__} and no EngineError: {error}"
