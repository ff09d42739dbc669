"""Every config as it lies there: each variant and each point of each sweep can be set, and makes a cell."""

import pathlib
from collections import Counter

import pytest

from experiments import launch
from seqjax.config import load_config, override
from seqjax.errors import UserError
from seqjax.models.build import cell_maker
from seqjax.sweeps.expand import expand
from seqjax.training import loop

CONFIGS = sorted(pathlib.Path("configs").glob("*.py"))


def variants(file):
    """A config file with each variant of its own table, or with none."""
    _, sweeps = load_config(str(file))
    table = next(iter(sweeps.values())).__globals__.get("VARIANTS", [""])
    return [f"{file}:{name}" if name else str(file) for name in table]


@pytest.mark.parametrize("spec", [spec for file in CONFIGS for spec in variants(file)])
def test_every_point_of_every_sweep_can_be_trained(spec):
    config, sweeps = load_config(spec)
    if "length" not in config.task:  # images have their own
        sweeps.pop("lengths", None)
    for names in [[], *([name] for name in sweeps)]:
        for trial in expand(config, sweeps, names):
            loop.check(trial)
            cell_maker(trial)


def test_every_config_knows_its_variants_and_names_them():
    for file in CONFIGS:
        with pytest.raises(UserError, match=f"{file} has no variant 'nonesuch'"):
            load_config(f"{file}:nonesuch")


# The cell and its options


def config_of(**options):
    config, _ = load_config("configs/char_lm.py")
    for name, value in options.items():
        override(config, f"cell.options.{name}", value)
    return config


def test_another_cell_has_options_of_its_own():
    config = config_of(forget_bias=0.0)
    override(config, "cell.name", "lstm")
    assert config.cell.options.to_dict() == {"forget_bias": 0.0}
    override(config, "cell.name", "rnn")
    assert config.cell.options.to_dict() == {}
    override(config, "cell.options.activation", "relu")
    assert config.cell.options.to_dict() == {"activation": "relu"}


def test_a_sweep_sets_the_cells_name_before_its_options_in_whatever_order_they_stand():
    sweeps = {
        "options": lambda: [{"cell.options.activation": "relu", "seed": 1}],
        "cells": lambda: [{"seed": 2, "cell.options.activation": "relu", "cell.name": "rnn"}],
        "names": lambda: [{"cell.name": "rnn"}],
    }
    for names in (["cells"], ["options", "names"], ["names", "options"]):
        (trial,) = expand(config_of(forget_bias=0.0), sweeps, names)
        assert (trial.cell.name, trial.cell.options.to_dict()) == ("rnn", {"activation": "relu"}), names


def test_a_command_line_sets_the_cells_name_before_its_options_in_whatever_order_they_stand(tmp_path):
    given = ["--config.cell.options.activation=nonesuch", "--config.cell.name=rnn"]
    for overrides in (given, given[::-1]):
        with pytest.raises(UserError, match="unknown activation 'nonesuch' for rnn"):
            launch.main(["--config=configs/pathological.py", *overrides, f"--runs={tmp_path}"])


def test_penn_treebanks_forget_bias_is_that_of_its_lstm_alone():
    config, sweeps = load_config("configs/penn_treebank.py")
    options = {trial.cell.name: trial.cell.options.to_dict() for trial in expand(config, sweeps, ["table"])}
    assert options.pop("lstm") == {"forget_bias": 0.0}
    assert len(options) == 10 and not any(options.values())


# What sweeps say of themselves


def test_the_sixteen_settings_of_jozefowicz_try_every_value_about_as_often():
    _, sweeps = load_config("configs/jozefowicz2015.py")
    settings = list(sweeps["settings"]())
    for key, values in {"init.kernel_scale": 6, "optimiser.learning_rate": 7, "clip.value": 5}.items():
        counts = Counter(setting[key] for setting in settings).values()
        assert (len(settings), len(counts)) == (16, values)
        assert 1 <= min(counts) <= max(counts) <= 4


def test_the_rates_of_greff_are_the_papers_whatever_the_momentum():
    config, sweeps = load_config("configs/greff2015.py")
    for trial in expand(config, sweeps, ["settings"]):
        assert trial.optimiser.dampened
        assert 61e-6 <= trial.optimiser.learning_rate <= 61e-2


def test_the_music_table_gives_all_cells_the_parameters_of_the_default_lstm():
    _, sweeps = load_config("configs/polyphonic_music.py")
    hidden, notes = 256, 88
    lstm = 4 * hidden * (notes + hidden + 1) + notes * (hidden + 1)
    assert {point["cell.parameters"] for point in sweeps["table"]()} == {376_000}
    assert lstm <= 376_000 < lstm + 4 * 2 * hidden
