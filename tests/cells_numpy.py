"""Every cell's equations once more, in float64 NumPy, as the papers write them: one matrix a gate, vectors as columns.

`STEPS` maps a cell's name to its step `(weights, state, x) -> (state, output)`, `GATES` to the values of its gates in
that step. They know nothing of how the package packs its matrices; `PACKING` alone says which block of columns of which
parameter is which matrix.
"""

from functools import partial

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def rnn(p, h, x, activation=np.tanh):
    h = activation(p["W_hh"] @ h + p["W_xh"] @ x + p["b_h"])
    return h, h


ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": sigmoid,
    "linear": lambda a: a,
}


def lstm_gates(p, state, x):
    _, h = state
    i = sigmoid(p["W_xi"] @ x + p["W_hi"] @ h + p["b_i"])
    f = sigmoid(p["W_xf"] @ x + p["W_hf"] @ h + p["b_f"])
    o = sigmoid(p["W_xo"] @ x + p["W_ho"] @ h + p["b_o"])
    return {"input": i, "forget": f, "output": o}


def lstm(p, state, x):
    c, h = state
    i, f, o = lstm_gates(p, state, x).values()
    g = np.tanh(p["W_xg"] @ x + p["W_hg"] @ h + p["b_g"])
    c = f * c + i * g
    h = o * np.tanh(c)
    return (c, h), h


def gru_gates(p, h, x):
    r = sigmoid(p["W_xr"] @ x + p["W_hr"] @ h + p["b_r"])
    z = sigmoid(p["W_xz"] @ x + p["W_hz"] @ h + p["b_z"])
    return {"reset": r, "update": z}


def gru(p, h, x):
    r, z = gru_gates(p, h, x).values()
    n = np.tanh(p["W_xh"] @ x + p["W_hh"] @ (r * h) + p["b_h"])
    h = z * h + (1 - z) * n
    return h, h


def gru_reset_after(p, h, x):
    r, z = gru_gates(p, h, x).values()
    n = np.tanh(p["W_xh"] @ x + p["b_h"] + r * (p["W_hh"] @ h + p["b_hh"]))
    h = z * h + (1 - z) * n
    return h, h


def widened(p, x):
    """MUT1 and MUT2 add x itself to vectors as wide as the state; `P` makes it so where it is not."""
    return p["P"] @ x if "P" in p else x


def mut1_gates(p, h, x):
    x = widened(p, x)
    z = sigmoid(p["W_xz"] @ x + p["b_z"])
    r = sigmoid(p["W_xr"] @ x + p["W_hr"] @ h + p["b_r"])
    return {"update": z, "reset": r}


def mut1(p, h, x):
    z, r = mut1_gates(p, h, x).values()
    x = widened(p, x)
    h = np.tanh(p["W_hh"] @ (r * h) + np.tanh(x) + p["b_h"]) * z + h * (1 - z)
    return h, h


def mut2_gates(p, h, x):
    x = widened(p, x)
    z = sigmoid(p["W_xz"] @ x + p["W_hz"] @ h + p["b_z"])
    r = sigmoid(x + p["W_hr"] @ h + p["b_r"])
    return {"update": z, "reset": r}


def mut2(p, h, x):
    z, r = mut2_gates(p, h, x).values()
    x = widened(p, x)
    h = np.tanh(p["W_hh"] @ (r * h) + p["W_xh"] @ x + p["b_h"]) * z + h * (1 - z)
    return h, h


def mut3_gates(p, h, x):
    z = sigmoid(p["W_xz"] @ x + p["W_hz"] @ np.tanh(h) + p["b_z"])
    r = sigmoid(p["W_xr"] @ x + p["W_hr"] @ h + p["b_r"])
    return {"update": z, "reset": r}


def mut3(p, h, x):
    z, r = mut3_gates(p, h, x).values()
    h = np.tanh(p["W_hh"] @ (r * h) + p["W_xh"] @ x + p["b_h"]) * z + h * (1 - z)
    return h, h


def min_gru_gates(p, h, x):
    return {"update": sigmoid(p["W_xz"] @ x + p["b_z"])}


def min_gru(p, h, x):
    (z,) = min_gru_gates(p, h, x).values()
    h = (1 - z) * h + z * (p["W_xh"] @ x + p["b_h"])
    return h, h


def min_lstm_gates(p, h, x):
    f = sigmoid(p["W_xf"] @ x + p["b_f"])
    i = sigmoid(p["W_xi"] @ x + p["b_i"])
    return {"forget": f / (f + i), "input": i / (f + i)}


def min_lstm(p, h, x):
    f, i = min_lstm_gates(p, h, x).values()
    h = f * h + i * (p["W_xh"] @ x + p["b_h"])
    return h, h


def lru(p, state, x):
    h = state[0] + 1j * state[1]
    lambda_ = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    h = lambda_ * h + np.exp(p["gamma_log"]) * ((p["B_re"] + 1j * p["B_im"]) @ x)
    y = ((p["C_re"] + 1j * p["C_im"]) @ h).real + (p["D"] * x if p["D"].ndim == 1 else p["D"] @ x)
    return (h.real, h.imag), y


def jozefowicz_parts(p, state, x, removed):
    """The tanh i, the gates j and f, and the tanh o; the one that is removed is 1."""

    def part(name, activation):
        return 1.0 if name == removed else activation(p[f"W_x{name}"] @ x + p[f"W_h{name}"] @ state[1] + p[f"b_{name}"])

    return part("i", np.tanh), part("j", sigmoid), part("f", sigmoid), part("o", np.tanh)


def jozefowicz_gates(p, state, x, removed=""):
    _, j, f, _ = jozefowicz_parts(p, state, x, removed)
    return {name: gate for name, letter, gate in (("input", "j", j), ("forget", "f", f)) if letter != removed}


def jozefowicz(p, state, x, removed=""):
    i, j, f, o = jozefowicz_parts(p, state, x, removed)
    c = state[0] * f + i * j
    h = np.tanh(c) * o
    return (c, h), h


REMOVED = {"": "", "_no_forget": "f", "_no_input": "j", "_no_output": "o", "_bias": ""}


def greff_parts(p, state, x, variant):
    """i, f and o, a gate that is left out being 1, then c' and h': one LSTM, and what each variant changes in it."""
    c, h, *gates_before = state

    def block(name):
        return p[f"W_x{name}"] @ x + p[f"W_h{name}"] @ h + p[f"b_{name}"]

    def gate(name, c):
        if variant == f"n{name}g":
            return 1.0
        if variant == "cifg" and name == "f":
            return 1 - gate("i", c)
        a = block(name)
        if variant != "np":
            a = a + p[f"p_{name}"] * c
        if variant == "fgr":
            a = a + sum(p[f"R_{before}{name}"] @ g for before, g in zip("ifo", gates_before, strict=True))
        return sigmoid(a)

    z = block("z") if variant == "niaf" else np.tanh(block("z"))
    i, f = gate("i", c), gate("f", c)
    c = i * z + f * c
    o = gate("o", c)
    return i, f, o, c, o * (c if variant == "noaf" else np.tanh(c))


def greff_gates(p, state, x, variant=""):
    i, f, o, *_ = greff_parts(p, state, x, variant)
    gates = {"input": i, "forget": f, "output": o}
    return {name: gate for name, gate in gates.items() if variant != f"n{name[0]}g"}


def greff(p, state, x, variant=""):
    i, f, o, c, h = greff_parts(p, state, x, variant)
    return (c, h, i, f, o) if variant == "fgr" else (c, h), h


GREFF = ("nig", "nfg", "nog", "niaf", "noaf", "cifg", "np", "fgr")


def nas(p, state, x):
    c, h = state
    a, m = ([p[f"W_{side}{k}"] @ vector for k in range(8)] for side, vector in (("x", x), ("h", h)))
    l0, l1 = sigmoid(a[0] + m[0]), np.maximum(a[1] + m[1], 0)
    l2, l3 = sigmoid(a[2] + m[2]), np.maximum(a[3] * m[3], 0)
    l4, l5 = np.tanh(a[4] + m[4]), sigmoid(a[5] + m[5])
    l6, l7 = np.tanh(a[6] + m[6]), sigmoid(a[7] + m[7])
    p0, p1, p2, p3 = np.tanh(l0 * l1), np.tanh(l2 + l3), np.tanh(l4 * l5), sigmoid(l6 + l7)
    c = np.tanh(p0 + c) * p1
    h = np.tanh(c * np.tanh(p2 + p3))
    return (c, h), h


STEPS = {
    "rnn": rnn,
    "lstm": lstm,
    "gru": gru,
    "gru_reset_after": gru_reset_after,
    "mut1": mut1,
    "mut2": mut2,
    "mut3": mut3,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "lru": lru,
    **{f"lstm_j{suffix}": partial(jozefowicz, removed=removed) for suffix, removed in REMOVED.items()},
    "lstm_peephole": greff,
    **{f"lstm_peephole_{variant}": partial(greff, variant=variant) for variant in GREFF},
    "nas": nas,
}

GATES = {
    "lstm": lstm_gates,
    "gru": gru_gates,
    "gru_reset_after": gru_gates,
    "mut1": mut1_gates,
    "mut2": mut2_gates,
    "mut3": mut3_gates,
    "min_gru": min_gru_gates,
    "min_lstm": min_lstm_gates,
    **{f"lstm_j{suffix}": partial(jozefowicz_gates, removed=removed) for suffix, removed in REMOVED.items()},
    "lstm_peephole": greff_gates,
    **{f"lstm_peephole_{variant}": partial(greff_gates, variant=variant) for variant in GREFF},
}


def lstm_packing(gates, peepholes=""):
    """Of an LSTM whose `w`, `u` and `b` hold the blocks of these letters, and `p` the peepholes of those."""
    packing = {"w": "W_x", "u": "W_h", "b": "b_"}
    packing = {parameter: " ".join(prefix + gate for gate in gates) for parameter, prefix in packing.items()}
    return packing | ({"p": " ".join(f"p_{gate}" for gate in peepholes)} if peepholes else {})


PACKING = {
    "rnn": {"w": "W_xh", "u": "W_hh", "b": "b_h"},
    "lstm": {"w": "W_xi W_xf W_xg W_xo", "u": "W_hi W_hf W_hg W_ho", "b": "b_i b_f b_g b_o"},
    "gru": {"w": "W_xr W_xz W_xh", "u_rz": "W_hr W_hz", "u_n": "W_hh", "b": "b_r b_z b_h"},
    "gru_reset_after": {"w": "W_xr W_xz W_xh", "u": "W_hr W_hz W_hh", "b": "b_r b_z b_h", "b_n": "b_hh"},
    "mut1": {"p": "P", "w": "W_xz W_xr", "u_r": "W_hr", "u_h": "W_hh", "b": "b_z b_r b_h"},
    "mut2": {"p": "P", "w": "W_xz W_xh", "u_zr": "W_hz W_hr", "u_h": "W_hh", "b": "b_z b_r b_h"},
    "mut3": {"w": "W_xz W_xr W_xh", "u_z": "W_hz", "u_r": "W_hr", "u_h": "W_hh", "b": "b_z b_r b_h"},
    "min_gru": {"w": "W_xz W_xh", "b": "b_z b_h"},
    "min_lstm": {"w": "W_xf W_xi W_xh", "b": "b_f b_i b_h"},
    "lru": {
        **{name: name for name in ("nu_log", "theta_log", "gamma_log")},
        "b": "B_re B_im",
        "c": "C_re / C_im",
        "d": "D",
    },
    "lstm_j": lstm_packing("ijfo"),
    "lstm_j_no_forget": lstm_packing("ijo"),
    "lstm_j_no_input": lstm_packing("ifo"),
    "lstm_j_no_output": lstm_packing("ijf"),
    "lstm_j_bias": lstm_packing("ijfo"),
    "lstm_peephole": lstm_packing("zifo", "ifo"),
    "lstm_peephole_nig": lstm_packing("zfo", "fo"),
    "lstm_peephole_nfg": lstm_packing("zio", "io"),
    "lstm_peephole_nog": lstm_packing("zif", "if"),
    "lstm_peephole_niaf": lstm_packing("zifo", "ifo"),
    "lstm_peephole_noaf": lstm_packing("zifo", "ifo"),
    "lstm_peephole_cifg": lstm_packing("zio", "io"),
    "lstm_peephole_np": lstm_packing("zifo"),
    "lstm_peephole_fgr": lstm_packing("zifo", "ifo")
    | {f"r_{before}": f"R_{before}i R_{before}f R_{before}o" for before in "ifo"},
    "nas": {"w": " ".join(f"W_x{k}" for k in range(8)), "u": " ".join(f"W_h{k}" for k in range(8))},
}


def named(packing, parameters):
    """`{"W_xi": matrix, ...}` from a cell's parameters: `[rows, gates * columns]`, or vectors `[gates * columns]`.

    `/` stands between matrices that are one above the other, `[gates * rows, columns]`.
    """
    assert parameters.keys() <= packing.keys(), f"PACKING does not name {sorted(parameters.keys() - packing.keys())}"
    named = {}
    for parameter, value in parameters.items():
        names, axis = packing[parameter].split(), -1
        if "/" in names:
            names, axis = names[::2], 0
        parts = np.split(np.asarray(value), len(names), axis=axis)
        named |= {name: part.T for name, part in zip(names, parts, strict=True)}
    return named
