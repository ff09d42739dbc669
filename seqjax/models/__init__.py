"""Cells, embedding and readout put together: networks."""

from seqjax.models.networks import (
    Embedding,
    ManyToMany,
    ManyToOne,
    OneHot,
    OneToMany,
    OneToOne,
    Readout,
    TiedReadout,
)
from seqjax.models.stack import BidirectionalStack, Stack

__all__ = [
    "BidirectionalStack",
    "Embedding",
    "ManyToMany",
    "ManyToOne",
    "OneHot",
    "OneToMany",
    "OneToOne",
    "Readout",
    "Stack",
    "TiedReadout",
]
