"""What a training process may use: cores, host devices, a GPU. Fixed before JAX is imported, because the number of
cores decides how XLA splits its sums, and with it the last bits of every result.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess


@dataclasses.dataclass(frozen=True)
class Allocation:
    """One process's share of the machine."""

    cores: tuple[int, ...]
    host_devices: int = 1  # CPU devices that JAX shows; a batch is divided among them
    gpu: str = ""  # the identifier for CUDA_VISIBLE_DEVICES; empty is none

    @property
    def shape(self) -> dict:
        """What must be the same for results to be the same to the bit; which cores they are does not matter."""
        return {"cores": len(self.cores), "host_devices": self.host_devices, "gpu": bool(self.gpu)}

    def environment(self) -> dict[str, str]:
        """Environment variables for the process, to be set before it imports JAX."""
        flags = os.environ.get("XLA_FLAGS", "")
        flags = " ".join(f for f in flags.split() if "host_platform_device_count" not in f)
        variables = {
            "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={self.host_devices}".strip(),
            # Small programs, of which there are many, are worth caching too.
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            # XLA prints kilobytes about tuning flags whenever it loads a cached program; errors come as exceptions.
            "TF_CPP_MIN_LOG_LEVEL": "3",
            # XLA takes fresh memory for each dispatch; in pages of 4 KiB, making them costs up to a third of the time.
            "GLIBC_TUNABLES": _with_huge_pages(os.environ.get("GLIBC_TUNABLES", "")),
        }
        if self.gpu:
            # Trials beside each other on one GPU could not share it if the first took nearly all of its memory.
            variables |= {"CUDA_VISIBLE_DEVICES": self.gpu, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        else:
            variables |= {"JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")}
        return variables

    def bind(self) -> None:
        """Keep this process on its cores, where the system can."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.cores)


def _with_huge_pages(tunables: str) -> str:
    """glibc's settings with huge pages for malloc, unless they say something about them already."""
    if "glibc.malloc.hugetlb" in tunables:
        return tunables
    return ":".join(filter(None, [tunables, "glibc.malloc.hugetlb=1"]))


def available_cores() -> tuple[int, ...]:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def available_gpus() -> tuple[str, ...]:
    """Identifiers of the NVIDIA GPUs that JAX could use here; none where its CUDA plugin is not installed."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if os.environ.get("JAX_PLATFORMS", "") == "cpu" or not _cuda_plugin_installed():
        return ()
    if visible is not None:
        return tuple(filter(None, visible.split(",")))
    if pathlib.Path("/proc/driver/nvidia/gpus").is_dir() and shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)  # noqa: S607
        return tuple(str(number) for number in range(len(listed.stdout.strip().splitlines())))
    return ()


def _cuda_plugin_installed() -> bool:
    from importlib.metadata import distributions

    return any((d.metadata["Name"] or "").startswith("jax-cuda") for d in distributions())


def divide(workers: int) -> list[Allocation]:
    """Allocations for so many processes side by side: a GPU each where there are GPUs, else one core each."""
    cores, gpus = available_cores(), available_gpus()
    share = max(1, len(cores) // workers) if gpus else 1
    return [
        Allocation(
            cores=tuple(cores[(worker * share + i) % len(cores)] for i in range(share)),
            gpu=gpus[worker % len(gpus)] if gpus else "",
        )
        for worker in range(workers)
    ]


def everything(batch: int) -> Allocation:
    """The whole machine for one process, with as many host devices as divide `batch` evenly."""
    cores, gpus = available_cores(), available_gpus()
    if gpus:
        return Allocation(cores, gpu=",".join(gpus))
    devices = max(d for d in range(1, len(cores) + 1) if batch % d == 0)
    return Allocation(cores, host_devices=devices)
