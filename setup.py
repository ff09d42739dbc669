"""Package metadata: names, version ranges and extras are stated here and nowhere else."""

from setuptools import find_packages, setup

setup(
    name="seqjax",
    version="0.1.0",
    description="Recurrent sequence modelling in JAX and Flax: cells, training, sweeps and reports.",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["seqjax", "seqjax.*", "experiments"]),
    package_data={"seqjax": ["report/*.css", "report/*.js"]},
    install_requires=[
        "absl-py>=2.1",
        "array-record>=0.8",
        "flax>=0.12.1,<0.14",
        "importlib_resources>=6.0",  # tensorflow-datasets 4.9.10 imports it without declaring it
        "jax>=0.10,!=0.10.2,<0.12",  # 0.10.2 computes wrong numbers on CPU (jax issue 39103)
        "jaxlib>=0.10,!=0.10.2,<0.12",
        "jaxtyping>=0.3",
        "matplotlib>=3.9",
        "ml-collections>=1.0",
        "numpy>=2.0",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.11.30",
        "pyarrow>=18",
        "rich>=13.7",
        "scikit-learn>=1.5",  # for its handwritten digits
        "scipy>=1.13",
        "tensorflow-datasets>=4.9.10",
    ],
    extras_require={
        "bench": ["keras>=3.12"],  # one of the peers in benchmarks; beside it they need dev's torch
        "dev": [
            "beartype>=0.20",
            "hypothesis>=6.100",
            "pytest>=8.3",
            "pytest-xdist>=3.6",
            "ruff>=0.8",
            "torch==2.13.0",  # cross-checks and benchmarks; any other spelling pulls the CUDA build
        ],
        "ray": ["ray>=2.50"],
        "search": ["optuna>=4.0"],  # which hyperparameters matter, in the report of a search
        "tensorboard": ["tensorboardX>=2.6"],
    },
)
