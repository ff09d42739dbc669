"""The machine and the versions, as far as they bear on speed; nothing that tells whose machine it is."""

import importlib.metadata
import os
import pathlib
import platform

from seqjax.allocation import available_cores

PACKAGES = ("jax", "jaxlib", "flax", "torch", "keras", "numpy")
INSTRUCTIONS = ("sse4_2", "avx", "avx2", "fma", "avx512", "avx_vnni", "amx", "neon", "asimd", "sve")


def describe() -> dict:
    """What a page says of the machine; what cannot be found out is left out."""
    cpu = _cpu()
    flags = cpu.get("flags", cpu.get("Features", "")).split()
    found = {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": len(available_cores()),
        "virtual": "hypervisor" in flags,
        "caches": _caches(),
        "memory_gib": _memory(),
        "instructions": [flag for flag in sorted(set(flags)) if flag.startswith(INSTRUCTIONS)],
        "system": _system(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    return {key: value for key, value in found.items() if value not in (None, [], "")}


def versions() -> dict[str, str]:
    """Python's and the packages' versions, of those installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu() -> dict[str, str]:
    """The first processor of Linux's list."""
    try:
        first = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    lines = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in lines}


def _caches() -> list[str]:
    """Of the first core: level, kind and size, "L2 1024K"."""
    found = []
    for cache in sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((cache / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        found.append(f"L{level}{ {'Data': 'd', 'Instruction': 'i'}.get(kind, '') } {size}")
    return found


def _memory() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError):
        return None


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
