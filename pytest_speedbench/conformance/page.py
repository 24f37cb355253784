"""The page at the end: what was held to what, to paste into an issue."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from importlib import metadata
from platform import platform, python_version

from pytest_speedbench.config import Pair
from pytest_speedbench.conformance.effort import Effort
from pytest_speedbench.conformance.findings import Finding, Outcome
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.redaction import redact_text

_WIDTH = 118


def facts(pair: Pair, info: EngineInfo | None, effort: Effort | None) -> dict[str, str]:
    """What was under test, by name; ``info`` is ``None`` if no engine started."""
    drafter = f"{pair.drafter}, K = {pair.drafter.draft_length}" if pair.drafter else "none"
    found = {"engine": pair.engine, "target": pair.model, "drafter": drafter}
    if info is not None:
        count = f"{info.device_count} × " if info.device_count > 1 else ""
        driver = f", {info.driver}" if info.driver else ""
        found |= {"version": info.version, "device": f"{count}{info.device}{driver}"}
    if effort is not None and effort.reduced:
        found["effort"] = (
            f"reduced to {effort.prompts} prompts of {effort.tokens} tokens: {effort.token_s:.2f} s per token"
        )
    found["suite"] = (
        f"pytest-speedbench {metadata.version('pytest-speedbench')}, Python {python_version()}, {platform()}"
    )
    return found


def plain_page(of: Mapping[str, str], findings: Sequence[Finding]) -> list[str]:
    """The page as lines for a terminal."""
    lines = [f"{name:<9} {text}" for name, text in of.items()]
    lines += [""]
    for finding in findings:
        head = f"{finding.outcome.value:<8} {finding.promise:<13} "
        body = f"{finding.title}: {finding.words}"
        lines += textwrap.wrap(body, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
    return [*map(redact_text, lines), "", tally(findings)]


def markdown_page(of: Mapping[str, str], findings: Sequence[Finding]) -> str:
    """The page as Markdown."""
    lines = [f"### Conformance of {of['engine']} {of.get('version', '')}".rstrip(), ""]
    lines += [f"- {name}: {text}" for name, text in of.items()]
    lines += ["", f"**{tally(findings)}**", "", "| promise | outcome | figures |", "|---|---|---|"]
    for finding in findings:
        outcome = f"**{finding.outcome.value}**" if finding.outcome is Outcome.BROKEN else finding.outcome.value
        words = finding.words.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {finding.title} (`{finding.promise}`) | {outcome} | {words} |")
    return redact_text("\n".join(lines) + "\n")


def tally(findings: Sequence[Finding]) -> str:
    """How many promises stand how."""
    counts = {outcome: sum(finding.outcome is outcome for finding in findings) for outcome in Outcome}
    parts = [f"{count} {outcome.value}" for outcome, count in counts.items() if count or outcome is Outcome.BROKEN]
    return f"{', '.join(parts)} in {sum(finding.took_s for finding in findings):.0f} s; absent is not kept"
