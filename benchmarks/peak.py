"""The machine's peak: how fast the fastest library here multiplies two large square float32 matrices."""

import importlib.util
import time

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from seqjax.allocation import available_cores

SIZE = 2048
CALLS = 5


def measure() -> list[dict]:
    """GFLOP/s of each library, for one core and for all where it can be told how many to use: the best of 5 calls."""
    a, b = np.random.default_rng(0).standard_normal((2, SIZE, SIZE), np.float32)
    return [
        {"library": name, "cores": cores, "size": SIZE, "gflops": _gflops(call)} for name, cores, call in _ways(a, b)
    ]


def _ways(a, b):
    counts = sorted({1, len(available_cores())})
    for cores in counts:

        def numpy_product(cores=cores):
            with threadpool_limits(cores):
                return a @ b

        yield "NumPy", cores, numpy_product
    if importlib.util.find_spec("torch"):
        import torch

        left, right = torch.from_numpy(a), torch.from_numpy(b)
        for cores in counts:

            def torch_product(cores=cores):
                torch.set_num_threads(cores)
                return left @ right

            yield "PyTorch", cores, torch_product
    on_device, product = jax.device_put((a, b)), jax.jit(lambda a, b: a @ b)
    yield "JAX", counts[-1], lambda: jax.block_until_ready(product(*on_device))


def _gflops(call) -> float:
    call()
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return 2 * SIZE**3 / min(taken) / 1e9
