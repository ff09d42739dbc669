"""Data flows one way: each stage imports those before it and none after it. And importing the package is light."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "seqjax"
STAGES = [
    ["errors", "allocation", "spectra", "statistics"],
    ["initialisers", "config", "products"],
    ["cells", "datasets", "deferral"],
    ["linear_recurrence"],
    ["recurrence"],
    ["models"],
    ["tasks"],
    ["analysis"],
    ["interpret"],
    ["results"],
    ["training"],
    ["loading", "report", "studies"],
    ["sweeps"],
]
PLACE = {name: number for number, names in enumerate(STAGES) for name in names}


def stage(file: pathlib.Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_stages(file: pathlib.Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seqjax"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from [a.name.split(".")[1] for a in node.names if a.name.startswith("seqjax.")]


FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_go_one_way(file):
    own = stage(file)
    assert own in PLACE, f"name the new stage {own!r} in STAGES"
    for other in imported_stages(file):
        assert other == own or PLACE[other] < PLACE[own], f"{file} imports {other}, which comes after {own}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_the_package_does_not_import_the_commands(file):
    imported = [node.module or "" for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    assert not [module for module in imported if module.split(".")[0] in ("experiments", "configs")]


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_the_package_does_not_import_jax():
    """The cores and devices of a process must be settled before JAX is there."""
    code = "import sys, seqjax, seqjax.allocation, seqjax.results, seqjax.training; assert 'jax' not in sys.modules"
    assert run(code).returncode == 0


def test_jax_0_10_2_is_refused_with_the_reason():
    code = (
        "import importlib.metadata as m; real = m.version\n"
        "m.version = lambda name: '0.10.2' if name == 'jax' else real(name)\n"
        "import seqjax"
    )
    ended = run(code)
    assert ended.returncode != 0
    assert "jax 0.10.2 computes wrong numbers on CPU" in ended.stderr


def test_names_of_the_package_are_found_when_used():
    assert run("import seqjax; assert seqjax.CELLS['gru'] and seqjax.unroll and seqjax.load").returncode == 0
    assert "no attribute 'cels'" in run("import seqjax; seqjax.cels").stderr
