"""``speedbench states``: keep the target's hidden states on stored outputs, so that heads are judged without it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_speedbench.cli.common import add_measurement_options, check_folder, say, to_stderr
from pytest_speedbench.cli.gating import is_file, settings_of_pair
from pytest_speedbench.errors import ConfigError, OutputsError
from pytest_speedbench.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_speedbench.config import Pair
    from pytest_speedbench.outputs import Outputs

_LOG_INTERVAL_S = 10.0
_USED = ("engine-args", "drafter")
DTYPES = ("bfloat16", "float32")
"""Those of the states module, which is not loaded for the help."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "states",
        help="keep the target's hidden states on stored outputs, to replay heads without the target",
        description="Have the target read the outputs stored beside a baseline (--speedbench-record-outputs) once, and "
        "keep the hidden states that heads read, in a folder beside them. Replays of EAGLE and Medusa heads then "
        "use the folder, and load no layer of the target.",
        allow_abbrev=False,
    )
    parser.add_argument("baseline", metavar="PAIR/SPLIT", help="the baseline whose outputs are stored")
    parser.add_argument(
        "--layers",
        type=_layers,
        metavar="K,...",
        help="keep the residual streams after these layers, 0 being the embeddings (default: those that the pair's "
        "drafter reads; of a drafter that reads none, those that EAGLE-3 heads read by default)",
    )
    parser.add_argument(
        "--final", action="store_true", help="keep the states after the final norm too, for EAGLE and Medusa"
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default=DTYPES[0],
        help=f"in which they are kept (default: {DTYPES[0]}; float32 is exact for a target that computes in it)",
    )
    add_measurement_options(
        parser, without=[option.name for option in OPTIONS if option.name not in _USED], also=("baseline-dir",)
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Record, and say how large it became.

    Raises:
        SpeedbenchError: outputs or target cannot be used, or there is no room.
    """
    from pytest_speedbench.baselines import outputs_path
    from pytest_speedbench.outputs import read_outputs
    from pytest_speedbench.states import open_states, states_beside

    name, _, split = arguments.baseline.rpartition("/")
    if not name or not split or is_file(arguments.baseline):
        raise ConfigError(f"{arguments.baseline!r} names no stored outputs.", "Name them as PAIR/SPLIT.")
    arguments.speedbench_mode = "decode"  # what the project says of it is not for this command
    settings = settings_of_pair(argparse.Namespace(**{**vars(arguments), "speedbench_split": split}), name)
    path = outputs_path(settings.baseline_dir, name, split)
    outputs = read_outputs(path)
    check_folder(path.parent)
    started_s = time.perf_counter()
    _record(path, outputs, settings.pair, arguments)
    states = open_states(states_beside(path), record_command="")
    say(
        f"{states.folder}: {states.total_bytes / 1e6:.1f} MB in {states.head.dtype}, {states.head.token_bytes:,} bytes "
        f"for each of {states.tokens:,} tokens, recorded in {time.perf_counter() - started_s:.1f} s"
    )
    return 0


def _record(path: Path, outputs: Outputs, pair: Pair, arguments: argparse.Namespace) -> None:
    """Have the pair's target read the outputs of this file, and keep what is asked in the folder beside it."""
    from pytest_speedbench.engines.checkpoints import open_checkpoint
    from pytest_speedbench.engines.identity import model_identity
    from pytest_speedbench.engines.replay.options import ReplayOptions
    from pytest_speedbench.engines.replay.pairs import replayed
    from pytest_speedbench.engines.transformers.checks import check_packages
    from pytest_speedbench.outputs import RECORD_COMMAND
    from pytest_speedbench.states import states_beside

    check_packages()
    target_sha256 = model_identity(pair.alone()).target_sha256
    if target_sha256 != outputs.head.target_sha256:
        raise OutputsError(
            f"The stored outputs {path} are of another target than the pair's.",
            f"Record them anew with: {RECORD_COMMAND}",
        )
    from pytest_speedbench.engines.replay.states_recording import Wanted, read_by, record_states

    def wanted(layers: int) -> Wanted:
        if arguments.layers is None:
            read = read_by(pair.drafter, layers)
            return Wanted(read.layer_ids, read.final or arguments.final)
        return Wanted(arguments.layers, arguments.final)

    record_states(
        states_beside(path),
        outputs.rows,
        open_checkpoint(pair.model, download=True),
        target_sha256,
        ReplayOptions.parse(replayed(pair, path).engine_args),
        wanted,
        arguments.dtype,
        _progress(len(outputs.rows)),
    )


def _progress(total: int) -> Callable[[int], None]:
    """A line every ten seconds, so that a log shows life."""
    last_s = time.monotonic()

    def on_text(done: int) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= _LOG_INTERVAL_S:
            last_s = time.monotonic()
            to_stderr(f"speedbench: {done}/{total} outputs read by the target\n")

    return on_text


def _layers(text: str) -> tuple[int, ...]:
    try:
        layers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of layers such as 2,16,29") from None
    if layers[0] < 0:
        raise argparse.ArgumentTypeError(f"{layers[0]} is no layer")
    return tuple(layers)
