"""Search spaces: what is drawn, how often, and that it never changes."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from seqjax.config import defaults
from seqjax.errors import UserError
from seqjax.sweeps.expand import expand
from seqjax.sweeps.spaces import (
    chain,
    choice,
    grid,
    integer,
    log_integer,
    log_uniform,
    product,
    random,
    uniform,
    zipped,
)

SPACE = {"optimiser.learning_rate": log_uniform(1e-4, 1e-1), "cell.layers": choice(1, 2, 3)}


def drawn(sampler, count=4000):
    return np.array([setting["x"] for setting in random({"x": sampler}, count)])


def test_a_seed_draws_the_same_settings_on_every_machine_and_under_every_version():
    assert random({"a": log_uniform(1e-4, 1e-1), "b": choice(1, 2, 3), "c": log_integer(20, 200)}, 3) == [
        {"a": 0.009766, "b": 3, "c": 42},
        {"a": 0.001441, "b": 1, "c": 28},
        {"a": 0.009958, "b": 2, "c": 97},
    ]


def test_a_larger_count_adds_settings_and_another_key_changes_none():
    few = random(SPACE, 5, seed=3)
    assert random(SPACE, 50, seed=3)[:5] == few
    wider = random({"clip.value": uniform(1, 20), **SPACE}, 5, seed=3)
    assert [{key: setting[key] for key in SPACE} for setting in wider] == few
    assert random(SPACE, 5, seed=4) != few


@pytest.mark.parametrize(
    ("sampler", "distribution"),
    [
        (uniform(0.5, 2.5), stats.uniform(0.5, 2)),
        (uniform(-1, 0), stats.uniform(-1, 1)),
        (log_uniform(1e-4, 1e-1), stats.loguniform(1e-4, 1e-1)),
    ],
)
def test_numbers_follow_their_distribution_in_four_digits(sampler, distribution):
    values = drawn(sampler)
    assert stats.kstest(values, distribution.cdf).pvalue > 0.01
    assert all(value == float(f"{value:.4g}") for value in values)


def test_whole_numbers_and_choices_are_equally_likely_ends_included():
    for sampler, known in ((integer(3, 6), [3, 4, 5, 6]), (choice("a", "b", "c"), ["a", "b", "c"])):
        values, counts = np.unique(drawn(sampler), return_counts=True)
        assert values.tolist() == known
        assert stats.chisquare(counts).pvalue > 0.01


def test_whole_numbers_by_orders_of_magnitude():
    values = drawn(log_integer(1, 8))
    assert (values.min(), values.max()) == (1, 8)
    expected = [math.log((n + 0.5) / (n - 0.5)) / math.log(17) for n in range(1, 9)]
    counts = np.bincount(values, minlength=9)[1:]
    assert stats.chisquare(counts, 4000 * np.array(expected)).pvalue > 0.01


def test_rounding_never_leaves_the_range():
    values = [sampler(u) for sampler in (uniform(0.12344, 0.12346), log_integer(21, 23)) for u in (0.0, 1 - 2**-32)]
    assert values == [0.12344, 0.12346, 21, 23]


def test_any_function_of_a_fraction_is_a_sampler():
    draw = log_uniform(0.01, 1)
    settings = random({"optimiser.momentum": lambda u: 1 - draw(u)}, 200)
    assert all(0 <= setting["optimiser.momentum"] <= 0.99 for setting in settings)


def test_the_last_space_varies_slowest_so_that_all_cells_try_a_setting_before_the_next():
    cells = grid({"cell.name": ("rnn", "gru")})
    assert product(cells, grid({"seed": (0, 1)})) == [
        {"cell.name": "rnn", "seed": 0},
        {"cell.name": "gru", "seed": 0},
        {"cell.name": "rnn", "seed": 1},
        {"cell.name": "gru", "seed": 1},
    ]
    assert grid({"cell.name": ("rnn", "gru"), "seed": (0, 1)}) == product(cells, grid({"seed": (0, 1)}))


def test_spaces_one_by_one_and_one_after_the_other():
    layers, hidden = grid({"cell.layers": (1, 2)}), ({"cell.hidden": n} for n in (64, 32))
    assert zipped(layers, hidden) == [
        {"cell.layers": 1, "cell.hidden": 64},
        {"cell.layers": 2, "cell.hidden": 32},
    ]
    assert chain(layers, [{"cell.layers": 3}]) == [{"cell.layers": n} for n in (1, 2, 3)]


def test_settings_fit_a_config_and_its_file():
    space = SPACE | {"cell.hidden": log_integer(20, 200), "optimiser.name": choice("sgd", "adam")}
    configs = expand(
        defaults(),
        {"settings": lambda: random(space, 3), "seeds": lambda: grid({"seed": (0, 1)})},
        ["settings", "seeds"],
    )
    assert len(configs) == 6
    found = json.loads(json.dumps([config.to_dict() for config in configs]))
    assert [config["optimiser"]["learning_rate"] for config in found[:3]] == [
        setting["optimiser.learning_rate"] for setting in random(space, 3)
    ]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: uniform(2, 1), r"uniform\(2, 1\): the first number should be the smaller one"),
        (lambda: log_uniform(0, 1), r"log_uniform\(0, 1\): both ends should be above 0"),
        (lambda: uniform(0, math.inf), r"uniform\(0, inf\): both ends should be numbers"),
        (lambda: uniform("0", 1), r"both ends should be numbers"),
        (lambda: integer(1, 2.5), r"integer\(1, 2.5\): both ends should be whole numbers"),
        (lambda: choice(), "chooses among nothing"),
        (lambda: choice((1, 2)), r"one by one, as in choice\(1, 2, 3\), not \(1, 2\)"),
        (lambda: random(SPACE, 0), "random draws count = 0 settings; it should be at least 1"),
        (lambda: random({"seed": (0, 1)}, 3), r"random draws 'seed' from a sampler.* not from \(0, 1\)"),
        (lambda: grid({"cell.name": "gru"}), "grid takes a list of values for 'cell.name'"),
        (lambda: grid({"seed": 3}), "grid takes a list of values for 'seed'"),
        (lambda: product([{"seed": 0}], [{"seed": 1}]), "product joins spaces that both set seed"),
        (lambda: zipped([{"seed": 0}], [{"seed": 1}]), "zipped joins spaces that both set seed"),
        (lambda: zipped([{"seed": 0}], []), "zipped takes spaces of one length, not of 1 and 0 settings"),
    ],
)
def test_wrong_spaces_are_answered_in_a_sentence(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
