"""What a run is compared with: stored baselines, their files, and when two measurements are comparable."""

from pytest_speedbench.baselines.calibration import Calibration
from pytest_speedbench.baselines.fingerprint import (
    AcceptanceKey,
    Difference,
    HardwareKey,
    acceptance_differences,
    hardware_differences,
)
from pytest_speedbench.baselines.prompts import PromptEntry
from pytest_speedbench.baselines.schema import Baseline
from pytest_speedbench.baselines.store import (
    baseline_path,
    baselines_on,
    check_keeps_prompts,
    list_baselines,
    load_baseline,
    outputs_path,
    read_baseline,
    states_path,
    write_baseline,
)

__all__ = [
    "AcceptanceKey",
    "Baseline",
    "Calibration",
    "Difference",
    "HardwareKey",
    "PromptEntry",
    "acceptance_differences",
    "baseline_path",
    "baselines_on",
    "check_keeps_prompts",
    "hardware_differences",
    "list_baselines",
    "load_baseline",
    "outputs_path",
    "read_baseline",
    "states_path",
    "write_baseline",
]
