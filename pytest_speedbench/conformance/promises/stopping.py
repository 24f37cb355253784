"""Stopped engines, those of all checks."""

from __future__ import annotations

from pytest_speedbench.conformance.findings import AbsentError, BrokenPromiseError
from pytest_speedbench.conformance.left_behind import Watch
from pytest_speedbench.conformance.subject import Subject


async def stopping_leaves_nothing(subject: Subject) -> str:
    """Stopping works twice, and no process is left."""
    if not subject.stops:
        await subject.engine()
    await subject.stop()
    for stopped in subject.stops:
        if stopped.fault is not None:
            raise BrokenPromiseError(f"stopping failed: {stopped.fault}")
        if stopped.left:
            raise BrokenPromiseError(f"{len(stopped.left)} processes are left: {', '.join(stopped.left)}")
    if not Watch().possible:
        raise AbsentError("this system does not show its processes")
    processes = max(stopped.processes for stopped in subject.stops)
    return f"{len(subject.stops)} engines stopped, twice each; of up to {processes} processes none is left"
