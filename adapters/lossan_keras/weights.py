"""HDF5 files of weights, looked through before Keras reads them."""

from pathlib import Path
from typing import Any

from lossan import LossanError

_FREE, _PER_BYTE = 1 << 26, 20  # weights do not compress; what claims far more bytes is lying


def check_weights(file: Path) -> None:
    """Refuse an HDF5 file that points out of itself or claims more numbers than it can hold.

    Raises
    ------
    LossanError
        Naming the file and what it points to or claims.
    """
    import h5py

    try:
        with h5py.File(file) as stored:
            faults, claimed = _look(stored)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        text = str(error).strip() or type(error).__name__
        raise LossanError(f"--weights {file} is no HDF5 file ({text.splitlines()[0]}).") from error
    if claimed > _FREE + _PER_BYTE * file.stat().st_size:
        faults.append(f"it claims {claimed:,} bytes of numbers in {file.stat().st_size:,}")
    if faults:
        raise LossanError(
            f"--weights {file} is refused: {'; '.join(faults[:5])}. Save the weights again by "
            "model.save_weights."
        )


def _look(stored: Any) -> tuple[list[str], int]:
    """Return what points elsewhere, and how many bytes all data sets claim."""
    import h5py

    faults: list[str] = []
    claimed = 0

    def link(name: str, found: Any) -> None:
        if not isinstance(found, h5py.HardLink):
            faults.append(f"{name!r} is a link to elsewhere")

    def item(name: str, found: Any) -> None:
        nonlocal claimed
        if not isinstance(found, h5py.Dataset):
            return
        claimed += found.size * found.dtype.itemsize if found.size else 0
        if found.external or found.is_virtual:
            faults.append(f"the numbers of {name!r} lie in another file")

    stored.visititems_links(link)
    stored.visititems(item)
    return faults, claimed


def stored_layers(stored: Any) -> set[str]:
    """Return the names of the layers of which an HDF5 file holds weights, in either layout."""
    if "model_weights" in stored:  # a whole model of Keras 2
        stored = stored["model_weights"]
    if "layer_names" in stored.attrs:
        return {name for name in stored if len(stored[name].attrs.get("weight_names", ()))}
    names = set()
    for key, group in stored.get("layers", {}).items():
        # keys count the layers of a class; the layer's own name stands beside its weights
        if group.visititems(lambda _, item: True if hasattr(item, "dtype") else None):
            own = group["vars"].attrs if "vars" in group else {}
            names.add(str(own.get("name", key)))
    return names
