"""The options, once: command line, environment and ``[tool.speedbench]`` are read from this one table.

Imported in every pytest session where the plugin is installed, so it needs nothing but the standard library.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "text",
    "count",
    "rounds",
    "seconds",
    "error level",
    "names",
    "table",
    "tolerance",
    "policy",
    "outputs policy",
    "mode",
    "dtype",
    "folder",
    "cache",
    "columns",
    "conditions",
    "input length",
    "placeholders",
    "flag",
    "switch",
]
"""How a value is read. A ``flag`` takes none on the command line, a ``switch`` takes on or off."""


class Option:
    """One setting: ``--speedbench-NAME``, ``SPEEDBENCH_NAME`` and ``NAME`` in ``[tool.speedbench]``.

    A plain class: making a dataclass takes a fifth of the time that loading the plugin may cost.
    """

    __slots__ = ("help", "kind", "metavar", "name")

    def __init__(self, name: str, kind: Kind, metavar: str, help: str) -> None:  # noqa: A002 - pytest's own word
        self.name = name
        self.kind = kind
        self.metavar = metavar
        self.help = help

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return f"--speedbench-{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"SPEEDBENCH_{self.key.upper()}"

    @property
    def key(self) -> str:
        """The key in ``[tool.speedbench]`` and in the marker."""
        return self.name.replace("-", "_")

    @property
    def dest(self) -> str:
        """Where pytest keeps the parsed command-line value."""
        return f"speedbench_{self.key}"


OPTIONS: tuple[Option, ...] = (
    Option("engine", "text", "NAME", "engine that decodes (default: the pair's, else transformers)"),
    Option(
        "engine-args",
        "table",
        "NAME=VALUE[,...]",
        "arguments for the engine, e.g. tensor_parallel_size=2,dtype=float32, or a JSON object; "
        "they are added to the pair's",
    ),
    Option("python", "text", "PATH", "interpreter of the engine's environment (default: this one)"),
    Option("command", "text", "COMMAND", "command line that starts the server, with {port} in it"),
    Option("endpoint", "text", "URL", "server that is running already, for engines that are servers"),
    Option("model", "text", "MODEL", "target model: a folder, a hub id or bundled:NAME (default: bundled:target)"),
    Option(
        "drafter",
        "text",
        "METHOD[:MODEL]",
        "drafter, e.g. eagle3:/models/head, draft_model:MODEL, ngram; none for the target alone. "
        "With --speedbench-pair: the candidate to gate against that pair's baseline",
    ),
    Option("draft-length", "count", "K", "tokens drafted per verify step (default: the pair's, else 3)"),
    Option(
        "dtype",
        "dtype",
        "DTYPE",
        "what the target computes in, on every engine: float32, bfloat16, float16 or auto, the checkpoint's own",
    ),
    Option("tensor-parallel", "count", "N", "devices that each layer is spread over, on every engine"),
    Option("context-tokens", "count", "N", "longest sequence, prompt and output together, on every engine"),
    Option("pair", "text", "NAME", "a named pair: a bundled one or one of [tool.speedbench.pairs]"),
    Option("mode", "mode", "decode|replay", "replay: judge the drafter on stored outputs (default: decode)"),
    Option("record-outputs", "flag", "", "store what the target put out beside the baseline, for replay"),
    Option(
        "split",
        "text",
        "NAME|FILE",
        "prompts to ask: a bundled split, a file or folder (parquet, JSONL, CSV), a SPEED-Bench config, "
        "hub:OWNER/NAME[/CONFIG][@REVISION], or a split of [tool.speedbench.splits] (default: mini)",
    ),
    Option(
        "columns",
        "columns",
        "OURS=THEIRS[,...]",
        "what the split's file calls our columns, e.g. turns=prompt,category=topic",
    ),
    Option(
        "allow-placeholders",
        "placeholders",
        "skip",
        "leave out SPEED-Bench's rows whose text must still be prepared (default: refuse the split)",
    ),
    Option(
        "isl",
        "input length",
        "TOKENS[:o200k_base]",
        "cut or fill first turns to so many tokens, of the target's tokenizer or of o200k_base, e.g. 2k",
    ),
    Option("categories", "names", "A,B,...", "ask these categories only"),
    Option(
        "where",
        "conditions",
        "FIELD=VALUE[,...]",
        "ask these prompts only, by category, sub_category, difficulty, source, turns, tokens or chars, "
        "e.g. difficulty=hard|medium,turns>=2",
    ),
    Option("prompts", "count", "N", "ask N prompts, spread evenly over the categories; always the same N"),
    Option("concurrency", "count", "N", "conversations at a time (default: 1)"),
    Option("max-tokens", "count", "N", "output limit of every turn, in tokens (default: 64)"),
    Option("start-timeout", "seconds", "S", "how long an engine may take to start, in seconds (default: 1800)"),
    Option("silence-timeout", "seconds", "S", "how long a busy engine may say nothing, in seconds (default: 300)"),
    Option(
        "cache-dir",
        "cache",
        "DIR|off",
        "where token ids of large splits are kept (default: pytest-speedbench in the user's cache folder)",
    ),
    Option("baseline-dir", "folder", "DIR", "where baselines are kept (default: baselines)"),
    Option("update", "flag", "", "accept the figures of passing tests as the new baselines"),
    Option(
        "repeat",
        "count",
        "N",
        "measure N times (default: 1); with --speedbench-update the variation of the runs is stored in the baseline",
    ),
    Option(
        "tolerance",
        "tolerance",
        "T[,WHAT=T...]",
        "largest loss that is no regression, by CATEGORY, METRIC or METRIC:CATEGORY, as a share or an amount, "
        "e.g. 2%% or 2%%,multilingual=5%%,al_pooled:rag=0.1abs (default: 1%%; of speeds 5%%)",
    ),
    Option("policy", "policy", "detect|prove", "prove: fail unless no regression is shown (default: detect)"),
    Option(
        "outputs",
        "outputs policy",
        "equal|calibrated|note",
        "greedy outputs that are not the baseline's: fail on any, on more than rounding or the baseline's calibration "
        "explain, or never (default: calibrated)",
    ),
    Option(
        "family-error",
        "error level",
        "SHARE",
        "probability that a gate fails although nothing regressed; each gate of a session has it (default: 1%%)",
    ),
    Option("sequential", "switch", "on|off", "stop asking a category once its verdict is certain (default: on)"),
    Option("stop-at-first", "switch", "on|off", "stop asking altogether once a category regressed (default: off)"),
    Option("conformance-report", "text", "FILE", "write the page of the conformance suite to FILE, as Markdown"),
    Option("rounds", "rounds", "N", "rounds of a speed comparison, at least 3 (default: 6)"),
)

_NOT_A_TESTS = ("baseline-dir", "cache-dir", "conformance-report", "record-outputs", "update")
MARKER_KEYS: tuple[str, ...] = tuple(option.key for option in OPTIONS if option.name not in _NOT_A_TESTS)
"""What ``@pytest.mark.speedbench(...)`` takes."""

FIXTURE = "speedbench"
"""The fixture through which tests measure."""

REPORT_ATTRIBUTE = "speedbench"
"""The attribute of a test's teardown report that carries what the test measured."""
