"""The promises, in the order in which they are held.

All that needs the pair's engine comes before the target alone, and what looks at all answers after both.
"""

from __future__ import annotations

from pytest_speedbench.conformance.promises.base import Promise, hold
from pytest_speedbench.conformance.promises.errors import errors_are_surfaced
from pytest_speedbench.conformance.promises.identity import ids_are_seen, info_is_filled
from pytest_speedbench.conformance.promises.lossless import greedy_is_lossless, sampling_is_lossless
from pytest_speedbench.conformance.promises.outputs import (
    end_is_honoured,
    greedy_repeats,
    limits_are_honoured,
    seeds_repeat,
)
from pytest_speedbench.conformance.promises.records import counters_agree, records_hold, steps_agree
from pytest_speedbench.conformance.promises.service import cancelling_frees, concurrency_changes_nothing
from pytest_speedbench.conformance.promises.stopping import stopping_leaves_nothing
from pytest_speedbench.conformance.promises.streams import streams_are_well_formed
from pytest_speedbench.conformance.subject import TEMPERATURES

PROMISES: tuple[Promise, ...] = (
    Promise("info", "it says what runs", info_is_filled),
    Promise("prompt", "ids in are ids seen", ids_are_seen),
    Promise("repeats", "greedy decoding repeats, tokens and record", greedy_repeats),
    Promise("seeds", "a seeded sample repeats", seeds_repeat),
    Promise("limits", "output limits are honoured exactly", limits_are_honoured),
    Promise("end", "an end-of-sequence token ends, once", end_is_honoured),
    Promise("concurrency", "requests at once get the same answers", concurrency_changes_nothing),
    Promise("cancellation", "a cancelled request frees the engine", cancelling_frees),
    Promise("counters", "counters agree with the requests' records", counters_agree),
    Promise("errors", "errors are surfaced, and do not spread", errors_are_surfaced),
    Promise("lossless", "greedy tokens equal the target's own", greedy_is_lossless),
    *(
        Promise(
            f"sampling-{temperature:g}",
            f"sampled tokens are distributed as the target's own at temperature {temperature:g}",
            sampling_is_lossless(temperature),
        )
        for temperature in TEMPERATURES
    ),
    Promise("records", "acceptance records obey their identities", records_hold),
    Promise("steps", "acceptance by stream agrees with the record", steps_agree),
    Promise("stream", "emissions and times are in order", streams_are_well_formed),
    Promise("stop", "a stopped engine leaves nothing", stopping_leaves_nothing),
)
"""``stop`` is last: it stops what runs."""

__all__ = ["PROMISES", "Promise", "hold"]
