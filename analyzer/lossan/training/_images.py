"""Images to arrays, the same for every adapter, so that their logs can be compared."""

import os
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossan.errors import LossanError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
_AT_ONCE, _SECONDS = 256, 10.0  # images handed to the threads at once; seconds between messages


def load_image(file: Path, size: int) -> NDArray[np.uint8]:
    """Read an image as RGB, resized to a square.

    Parameters
    ----------
    file : Path
        PNG, JPEG or TIFF; grey, colour or palette; 8 or 16 bits a channel.
    size : int
        Pixels a side; the image is resized with antialiased bilinear interpolation, its aspect
        ratio not kept, as in the paper (section 3: "resized to 550 x 550").

    Returns
    -------
    ndarray of uint8
        Shape (size, size, 3).

    Raises
    ------
    LossanError
        When the file is missing or cannot be read.
    """
    image = open_image(file)
    from PIL import Image

    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.uint8)


def open_image(file: Path, *, about: int | None = None) -> Any:
    """Read an image as an RGB image of Pillow, turned upright as its camera noted.

    Parameters
    ----------
    file : Path
    about : int, optional
        For a copy of so many pixels a side for people to see: deep grey stretched to the range it
        uses (12 bits in 16 would look black), and a large JPEG read at the least size that will
        do, which is many times faster.

    Raises
    ------
    LossanError
        When the file is missing or cannot be read.
    """
    ready_pillow()
    try:
        return _read(file, sides=None if about is None else 2 * about, stretch=about is not None)
    except FileNotFoundError as error:
        raise LossanError(f"{file}: there is no such file.") from error
    except Exception as error:  # Pillow raises whatever a broken file makes it raise
        raise LossanError(f"{file}: cannot be read as an image ({error}).") from error


def check_images(files: Sequence[Path]) -> dict[int, str]:
    """Return why images cannot be read, by their places; empty where all can.

    Every image is read to its end, on every core: a header does not tell that a download broke off.
    """
    ready_pillow()
    told = monotonic()
    found: dict[int, str] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(files), _AT_ONCE):
            if monotonic() - told > _SECONDS:
                told = monotonic()
                print(f"checked {start:,} of {len(files):,} images", file=sys.stderr, flush=True)
            problems = pool.map(_problem, files[start : start + _AT_ONCE])
            found |= {start + i: why for i, why in enumerate(problems) if why is not None}
    return found


def _problem(file: Path) -> str | None:
    try:
        if not file.is_file() and file.exists():
            return "it is no file"  # a pipe would be waited for for ever
        # as for training, so that what passes here passes there; of a JPEG all is read, but few
        # of its pixels are computed
        _read(file, sides=1, stretch=False)
    except FileNotFoundError:
        return "there is no such file"
    except Exception as error:  # noqa: BLE001  (Pillow raises whatever a broken file makes it raise)
        return str(error) or type(error).__name__
    return None


def augment(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Flip an image at random, horizontally and vertically.

    Examples
    --------
    >>> image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    >>> sorted(augment(image, np.random.default_rng(0)).ravel()) == sorted(image.ravel())
    True
    """
    if rng.random() < 0.5:
        image = image[:, ::-1]
    if rng.random() < 0.5:
        image = image[::-1]
    return np.ascontiguousarray(image)


def ready_pillow() -> None:
    """Make ready to read images, large ones too.

    Raises
    ------
    LossanError
        When Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise LossanError(
            "reading images needs Pillow; install an adapter's extra: pip install 'lossan[torch]' "
            "or 'lossan[keras]'."
        ) from error
    # Whole slides are as large as that, and what is twice as large is refused all the same.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _read(file: Path, *, sides: int | None, stretch: bool) -> Any:
    """Return an image as RGB and upright; a JPEG no larger than will do for so many pixels."""
    from PIL import Image

    # by its name Pillow maps an uncompressed TIFF, and garbles one that is to be turned
    with file.open("rb") as stored, Image.open(stored) as image:
        if sides is not None:
            image.draft("RGB", (sides, sides))
        image.load()
        # what a browser shows a reviewer is what the network should have seen
        upright = _upright(image)
        deep = upright.mode.startswith("I") or upright.mode == "F"
        colour = _to_8_bits(upright, stretch=stretch) if deep else upright
        return colour.convert("RGB")


def _upright(image: Any) -> Any:
    """Turn an image as its camera noted; a note that cannot be read turns nothing, as anywhere."""
    from PIL import ExifTags, Image

    try:
        noted = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  (the pixels are sound, whatever stands beside them)
        return image
    # not ImageOps.exif_transpose, which writes the note anew and fails where that cannot be done
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(noted)
    return image if turn is None else image.transpose(turn)


def _to_8_bits(image: Any, *, stretch: bool) -> Any:
    """Bring a 16- or 32-bit grey image to 8 bits by 16 bits' range, or its own if wider."""
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    within = values.min(initial=0) >= 0 and values.max(initial=0) <= 65535
    top = 65535.0 if within and not stretch else 0.0
    if top and image.mode == "F" and values.max(initial=0) <= 1:
        top = 1.0  # fractions, as floating-point images mostly have them
    low = 0.0 if top else values.min()
    span = top or max(values.max() - low, 1e-12)
    return Image.fromarray(np.round((values - low) * (255 / span)).astype(np.uint8))
