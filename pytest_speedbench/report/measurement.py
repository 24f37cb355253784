"""A Run and its figures become an entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, pool
from pytest_speedbench.measure.run import Conversation, Run
from pytest_speedbench.metrics.acceptance import AcceptanceFigures
from pytest_speedbench.metrics.degenerate import degenerate
from pytest_speedbench.metrics.summary import Summary
from pytest_speedbench.report.entries import FigureRow, MeasurementEntry
from pytest_speedbench.splits.random_tokens import CONTROL_WARNING


def measurement_entry(test: str, run: Run, summary: Summary) -> MeasurementEntry:
    """The entry of one measurement."""
    # Requests that were cancelled kept the engine busy and left no tokens: the speed is not that of a whole run.
    speed = summary.throughput if run.complete else None
    acceptance = summary.acceptance
    return MeasurementEntry(
        test=test,
        pair=run.pair.name,
        drafter=describe_drafter(run),
        engine=describe_engine(run),
        device=run.engine.device,
        split_name=run.split.name,
        split=describe_split(run),
        load=describe_load(run),
        source=acceptance.overall.source.value if acceptance.overall.source else None,
        rows=[
            figure_row(category, figures, _output_tokens(run.in_category(category)))
            for category, figures in acceptance.by_category.items()
        ],
        overall=figure_row("overall", acceptance.overall, _output_tokens(run.conversations)),
        output_tps=speed.output_tps if speed else None,
        output_tps_per_gpu=speed.output_tps_per_gpu if speed else None,
        user_tps_q50=speed.user_tps.q50 if speed and speed.user_tps else None,
        ttft_q50_s=speed.ttft_s.q50 if speed and speed.ttft_s else None,
        step_time_q50_s=speed.step_time_s.q50 if speed and speed.step_time_s else None,
        notes=list(_notes(run)),
    )


def describe_drafter(run: Run) -> str:
    """The target and its drafter in words."""
    drafter = run.pair.drafter
    return f"{run.pair.model} alone" if drafter is None else f"{run.pair.model} + {drafter}, K = {drafter.draft_length}"


def describe_engine(run: Run) -> str:
    """The engine in words, and in what it computed. What was replayed was computed by another one, named in a note."""
    return f"{run.engine.name} {run.engine.version}" + (f" in {run.dtype}" if run.dtype and run.engine.timed else "")


def describe_split(run: Run) -> str:
    """Which prompts were asked, in words; a subset is called one."""
    asked = len(run.conversations)
    turns = sum(len(conversation.turns) for conversation in run.conversations)
    part = f"{asked} prompts" if asked == run.split.prompts else f"{asked} of {run.split.prompts} prompts"
    return f"{run.split.name}: {part}, {turns} turns"


def describe_load(run: Run) -> str:
    """Sampling and load in words."""
    sampling = run.sampling
    how = "greedy" if sampling.greedy else f"temperature {sampling.temperature:g}"
    return f"{how}, at most {sampling.max_output_tokens} tokens a turn, concurrency {run.load.concurrency}"


def _notes(run: Run) -> Iterator[str]:
    """What a reader should know of the record before believing the figures."""
    if run.split.control:
        yield CONTROL_WARNING
    yield from _settings_notes(run)
    if run.engine.templates_prompts:
        yield "the server rendered the prompts with a template of its own: which tokens the target read is not known."
    if not run.engine.timed:
        yield _replay_note(run)
    yield from run.split.notes
    fitted = [conversation for conversation in run.conversations if conversation.isl_tokens is not None]
    if fitted:
        asked = _span(conversation.isl_tokens for conversation in fitted if conversation.isl_tokens is not None)
        served = _span(conversation.turns[0].prompt_tokens for conversation in fitted)
        yield f"with its chat template the target reads {served} tokens of a first turn that was brought to {asked}."
    if run.stopped:
        yield (
            f"not all prompts were asked of {', '.join(run.stopped)}, because the gate had decided: figures that a "
            "decision stopped are extreme rather than typical."
        )
    yield from degenerate(run).notes()
    counts = [turn.preemptions for c in run.conversations for turn in c.turns if turn.preemptions]
    if counts:
        yield (
            f"{len(counts)} requests were preempted, {sum(counts)} times in all: the key-value cache is too small for "
            "this load, which slows it down."
        )
    records = [record for c in run.conversations if (record := c.acceptance) is not None]
    total = pool(records)
    if run.counters is None or total is None or len(records) < len(run.conversations):
        return
    same = (total.verify_steps, total.accepted_tokens) == (run.counters.verify_steps, run.counters.accepted_tokens)
    if isinstance(run.counters, AcceptanceRecord):
        same = total.histogram == run.counters.histogram
    if total.source is AcceptanceSource.ENGINE and not same:
        yield (
            f"the engine's counters saw {run.counters.verify_steps} verify steps and {run.counters.accepted_tokens} "
            f"accepted tokens, the requests' records {total.verify_steps} and {total.accepted_tokens}: other requests "
            "ran at the same time, or some were aborted."
        )


def _settings_notes(run: Run) -> Iterator[str]:
    """What was said of the pair and does not hold, or holds by its word alone."""
    yield from run.pair.dropped
    if run.dtype is not None and "dtype" not in run.engine.args:
        yield f"that the target computes in {run.dtype} is the pair's word: the server does not say."


def _replay_note(run: Run) -> str:
    args = run.engine.args
    recorded = f"the outputs are those of {args.get('recorded_by')} in {args.get('dtype') or 'an unknown dtype'}"
    if args.get("target") not in (None, "live"):
        recorded += f", and the head read {args['target']}"
    if args.get("lookup") is not None:
        recorded += f", and n-grams were looked up by the rule of {args['lookup']}"
    if not run.sampling.greedy:
        how = "drawn, and every record is one draw" if args.get("draft_sampling") == "probabilistic" else "greedy"
        return f"{recorded}, sampled; the drafts are {how}."
    ties, served = args.get("near_ties"), args.get("served_dtype")
    if not isinstance(ties, float):
        return f"{recorded}; how many of their tokens rounding may turn over is not known."
    return f"{recorded}; rounding in {served} may turn over {ties:.2%} of their tokens, and what follows them."


def figure_row(name: str, figures: AcceptanceFigures, output_tokens: int) -> FigureRow:
    """The acceptance of one category, or of everything together."""
    return FigureRow(
        name=name,
        prompts=figures.conversations,
        missing=figures.missing + figures.without_verify_steps,
        al_macro=figures.al_macro,
        al_pooled=figures.al_pooled,
        rates=list(figures.conditional_rates),
        draft_acceptance_rate=figures.draft_acceptance_rate,
        tokens_per_decode_step=figures.tokens_per_decode_step,
        output_tokens=output_tokens,
    )


def _output_tokens(conversations: tuple[Conversation, ...]) -> int:
    return sum(conversation.output_tokens for conversation in conversations)


def _span(counts: Iterable[int]) -> str:
    values = sorted(counts)
    return f"{values[0]}" if values[0] == values[-1] else f"{values[0]}–{values[-1]}"
