"""Files of torch.save as data: no code, and no more memory than the file is large."""

import mmap
import zipfile
from pathlib import Path
from typing import Any

import torch

from lossan import LossanError


def read_state(file: Path, device: Any = "cpu") -> Any:
    """Read what torch.save wrote, tensors and plain Python values only.

    Parameters
    ----------
    file : Path
    device : torch.device or str
        Where to put the tensors.

    Raises
    ------
    LossanError
        When it holds anything else, or claims more memory than it has bytes.
    FileNotFoundError
        When there is none.
    """
    _check_claims(file)
    try:
        # weights_only: a checkpoint is data and must never run code
        state = torch.load(file, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise LossanError(f"{file} cannot be read safely ({first_line(error)}).") from error
    if _is_stretched(state):
        raise LossanError(f"{file} holds a tensor that is larger than its own numbers.")
    return state


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _check_claims(file: Path) -> None:
    """Refuse compressed members, which torch.save never writes, and buffers of a claimed size."""
    with file.open("rb") as handle:
        if zipfile.is_zipfile(handle):
            try:
                with zipfile.ZipFile(handle) as archive:
                    packed = [
                        i for i in archive.infolist() if i.compress_type != zipfile.ZIP_STORED
                    ]
            # what zipfile raises for damage, for a broken directory, for a format it does not know
            except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
                raise LossanError(f"{file} cannot be read safely ({error}).") from error
            if packed:
                raise LossanError(
                    f"{file}: {packed[0].filename!r} in it is compressed, which torch.save never "
                    "does; it may unpack to any size. Save it again by torch.save."
                )
        if not handle.seek(0, 2):
            raise LossanError(f"{file} is empty.")
        with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(b"bytearray\n") >= 0:  # the one type that allocates what it is told to
                raise LossanError(f"{file} holds a bytearray, which no state dict does.")


def _is_stretched(value: Any, depth: int = 0) -> bool:
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_quantized:
            return False
        return value.numel() * value.element_size() > value.untyped_storage().nbytes()
    if depth > 50 or not isinstance(value, dict | list | tuple):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return any(_is_stretched(item, depth + 1) for item in inner)
