"""Small copies of images that stand inside a page."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from lossan.errors import LossanError
from lossan.training import load_image


@final
class Thumbnails:
    """Images of a folder as data URLs.

    Parameters
    ----------
    root : Path
        What paths are relative to; nothing outside it is read.
    size : int
        Pixels a side.
    """

    def __init__(self, root: Path, *, size: int = 160) -> None:
        self._root, self._size = root.resolve(), size

    def url(self, path: str | None) -> str | None:
        """Return an image as a data URL, None where there is none to show."""
        if not path:
            return None
        file = (self._root / path).resolve()
        if not file.is_relative_to(self._root):
            return None
        try:
            pixels = load_image(file, self._size)
        except LossanError:
            return None
        return f"data:image/jpeg;base64,{b64encode(_jpeg(pixels)).decode()}"


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=82)
    return out.getvalue()
