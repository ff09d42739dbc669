"""PyTorch's layers on the CPU, with every number of threads, with and without oneDNN."""

import warnings

import numpy as np
import torch

from benchmarks.contestant import Contestant
from benchmarks.work import Work
from seqjax.allocation import available_cores

PEER = "PyTorch"
LAYERS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru_reset_after": torch.nn.GRU}


def contestants(work: Work) -> list[Contestant]:
    """One for each setting, all of the same layer."""
    layer, xs, dys = _layer(work), torch.from_numpy(work.xs).requires_grad_(), torch.from_numpy(work.dys)
    wanted = [xs, *layer.parameters()]

    def call():
        ys, _ = layer(xs)
        return ys, torch.autograd.grad(ys, wanted, dys)

    def read(result):
        ys, (dxs, dw, du, db, db_h) = result
        answer = {"ys": ys.detach(), "xs": dxs, "w": dw.T, "u": du.T, "b": db}
        if work.cell == "gru_reset_after":
            answer["b_n"] = db_h[-work.shape.hidden :]
        return {name: value.numpy() for name, value in answer.items()}

    return [
        Contestant(
            PEER,
            f"{threads} thread{'s' * (threads > 1)}, {'oneDNN' if onednn else 'no oneDNN'}",
            call,
            read,
            prepare=lambda threads=threads, onednn=onednn: _set(threads, onednn),
        )
        for threads in thread_counts()
        # PyTorch uses oneDNN wherever it can; for its own GRU that is not always the fastest.
        for onednn in ((True, False) if torch.backends.mkldnn.is_available() else (False,))
    ]


def thread_counts() -> list[int]:
    """1 to the number of cores; powers of two, and all, where there are many."""
    cores = len(available_cores())
    return [n for n in range(1, cores + 1) if cores <= 8 or n == cores or n & (n - 1) == 0]


def _set(threads: int, onednn: bool) -> None:
    torch.set_num_threads(threads)
    with warnings.catch_warnings(action="ignore"):  # it speaks of GPUs
        torch.backends.mkldnn.set_flags(onednn)


def _layer(work: Work) -> torch.nn.Module:
    """Gates are in our order: i, f, g, o and r, z, n. Of PyTorch's two biases the second is ours inside the reset."""
    layer = LAYERS[work.cell](work.shape.inputs, work.shape.hidden)
    second = np.zeros_like(work.weights["b"])
    if work.cell == "gru_reset_after":
        second[-work.shape.hidden :] = work.weights["b_n"]
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.from_numpy(work.weights["w"].T.copy()))
        layer.weight_hh_l0.copy_(torch.from_numpy(work.weights["u"].T.copy()))
        layer.bias_ih_l0.copy_(torch.from_numpy(work.weights["b"]))
        layer.bias_hh_l0.copy_(torch.from_numpy(second))
    return layer
