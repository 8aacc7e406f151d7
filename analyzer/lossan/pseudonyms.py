"""Logs under pseudonyms: ids that only the holder of a key can tell."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossan.errors import LossanError, OptionError, OutputError
from lossan.io import sync
from lossan.losslog import LossLog

_SHORTEST = 32  # characters of a key
_LONGEST = 4096
_DIGITS = 32  # of a pseudonym: 128 bits, so that two samples never share one
_KEPT = frozenset(
    {
        *("format_version", "recorded", "loss_name", "classes", "producer", "created"),
        *("framework", "optimiser", "learning_rate", "batch_size", "image_size"),
        *("augmentation", "epochs", "seed"),
    }
)


def pseudonymise(log: LossLog, key: bytes) -> LossLog:
    """Return a log whose ids and groups are pseudonyms, without paths.

    A pseudonym is the first 32 hexadecimal digits of HMAC-SHA256 (RFC 2104) under the key, over the
    field's name, a colon and the id as text; the same key gives the same pseudonym in every log.
    Samples stand in the order of their pseudonyms. Of the metadata only what describes the
    training is kept: paths, names of files and fingerprints could tell the ids again.

    Parameters
    ----------
    log : LossLog
    key : bytes
        Secret; who has it and guesses an id can tell its pseudonym.

    Returns
    -------
    LossLog

    Examples
    --------
    >>> from lossan import build_log
    >>> log = build_log([[2.0, 1.0], [0.5, 0.1]], sample_id=["Smith", "Jones"])
    >>> hidden = pseudonymise(log, b"k" * 32)
    >>> [name[:8] for name in hidden.sample_id.to_pylist()], hidden.n_samples
    (['6fd666e8', '77eb9004'], 2)
    """
    ids = _hashed("sample_id", log.sample_id, key)
    metadata: dict[str, Any] = {k: v for k, v in log.metadata.items() if k in _KEPT}
    digest = hmac.digest(key, b"key", "sha256").hex()
    metadata["pseudonymised"] = {"method": "HMAC-SHA256", "key": digest[:8]}
    hidden = replace(
        log,
        sample_id=ids,
        group=None if log.group is None else _hashed("group", log.group, key),
        path=None,
        metadata=metadata,
    )
    return hidden.select(np.asarray(pc.sort_indices(ids)).astype(np.int64))


def read_key(file: Path) -> tuple[bytes, bool]:
    """Read a key, or make one that only its owner can read.

    Parameters
    ----------
    file : Path

    Returns
    -------
    bytes
        The text of the file without white space around it.
    bool
        Whether it was made now.

    Raises
    ------
    OptionError
        For a file that is no key.
    OutputError
        When a new one cannot be written.
    """
    try:
        content = file.read_bytes()[: _LONGEST + 1].strip()
    except FileNotFoundError:
        return _new_key(file), True
    except OSError as error:
        raise OptionError(f"--key-file {file} cannot be read: {error.strerror}.") from error
    if not _SHORTEST <= len(content) <= _LONGEST:
        raise OptionError(
            f"--key-file {file} holds {len(content)} bytes; a key has {_SHORTEST} to {_LONGEST}. "
            "Name a file that is not there yet, and a key is made."
        )
    return content, False


def _new_key(file: Path) -> bytes:
    key = secrets.token_hex(32).encode()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise OutputError.from_os_error(file, error) from error
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(key + b"\n")
            out.flush()
            os.fsync(out.fileno())
        sync(file.parent)
    except OSError as error:
        with suppress(OSError):
            file.unlink()  # half a key is none
        raise OutputError.from_os_error(file, error) from error
    return key


def _hashed(field: str, values: pa.Array, key: bytes) -> pa.Array:
    start = f"{field}:".encode()
    distinct = pc.unique(values).drop_null()
    names = [
        hmac.digest(key, start + str(value).encode(), hashlib.sha256).hex()[:_DIGITS]
        for value in distinct.to_pylist()
    ]
    if len(set(names)) < len(names):  # pragma: no cover - chance of 1 in 2^128 a pair
        raise LossanError(f"two values of {field} have one pseudonym; take another key.")
    found = pc.index_in(values, value_set=distinct)
    return pa.array(names, pa.large_string()).take(found)
