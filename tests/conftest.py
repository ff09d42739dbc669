"""What all tests share: the platform, enforced shape annotations, float64, and the folder of data files."""

import os
import pathlib
import signal

# Commands under test are interrupted; a shell that runs the tests in the background has them ignore that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before JAX is imported: two host devices, so that sharded code is tested on every machine.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

import jaxtyping  # noqa: E402

CHECKED = "analysis cells initialisers interpret linear_recurrence models recurrence spectra tasks"
jaxtyping.install_import_hook([f"seqjax.{name}" for name in CHECKED.split()], "beartype.beartype")

import jax  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Many tests compile the same programs: keep them for the session, and for all its processes."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@pytest.fixture
def float64():
    """Run the test with 64-bit numbers."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def quick_compilation():
    """Compile with few optimisations: for modules of many small programs that each run once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def unannotated():
    """Run the test as users run the code: wrong shapes reach the code's own error sentences."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def data_directory() -> pathlib.Path:
    """The folder of real data files; the test is skipped where there is none."""
    directory = os.environ.get("SEQJAX_DATA_DIR")
    if not directory:
        pytest.skip("SEQJAX_DATA_DIR is not set: this test needs the folder of data files")
    if not pathlib.Path(directory).is_dir():
        pytest.skip(f"SEQJAX_DATA_DIR is {directory}, which is not a folder")
    return pathlib.Path(directory)
