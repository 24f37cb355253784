"""TensorRT-LLM speaks MPI, and pytest must not notice: one process tests and reports, whatever else runs."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_speedbench.errors import EngineError

_RANKS = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PMI_ID", "SLURM_PROCID")
"""What mpirun, other launchers and srun call a process's rank."""
_SIZE = "OMPI_COMM_WORLD_SIZE"
_LAUNCHER = "TLLM_SPAWN_PROXY_PROCESS"
"""Set by trtllm-llmapi-launch, which runs its command once, on rank 0, and workers everywhere else."""
_ONCE = (
    "Start pytest once: by itself for the GPUs of one machine, else with mpirun -n RANKS trtllm-llmapi-launch pytest …"
)


def check_one_reporter(environment: Mapping[str, str]) -> None:
    """Refuse to run on every rank of an MPI job: each would measure, and none could start its engine.

    Raises:
        EngineError: this is not the only rank, and trtllm-llmapi-launch did not start it.
    """
    if environment.get(_LAUNCHER) == "1":
        return
    name = next((name for name in _RANKS if environment.get(name, "0") != "0"), None)
    if name is not None:
        raise EngineError(f"pytest runs on rank {environment[name]} of an MPI job, and only rank 0 may measure.", _ONCE)
    if environment.get(_SIZE, "1") != "1":
        raise EngineError(f"pytest runs on all {environment[_SIZE]} ranks of an MPI job.", _ONCE)
