"""``lossan train``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lossan.cli import _common as common


def train(
    labels: Annotated[
        Path,
        typer.Argument(metavar="LABELS", help="CSV, Parquet, or a folder of class folders."),
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="LOG", help="What to write.")],
    adapter: Annotated[str, typer.Option("--adapter", help="torch or keras.")],
    images: common.Images = None,
    model: Annotated[
        str, typer.Option("--model", help="A classifier by name, or package.module:factory.")
    ] = "inception_v3",
    weights: Annotated[str, typer.Option("--weights", help="imagenet, none or FILE.")] = "imagenet",
    image_size: Annotated[int, typer.Option("--image-size", help="Pixels a side.")] = 550,
    epochs: Annotated[int, typer.Option("--epochs", help="How many.")] = 8,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate.")] = 5e-5,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images a step.")] = 32,
    optimizer: Annotated[str, typer.Option("--optimizer", help="adam, adamw or sgd.")] = "adam",
    augmentation: Annotated[str, typer.Option("--augmentation", help="flips or none.")] = "flips",
    record: Annotated[
        str, typer.Option("--record", help="Losses of the training pass, or of one after it: eval.")
    ] = "train",
    test: Annotated[
        Path | None, typer.Option("--test", metavar="LABELS", help="Measured after each epoch.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[
        str, typer.Option("--precision", help="auto, float32, bfloat16 or float16.")
    ] = "auto",
    workers: Annotated[
        int, typer.Option("--workers", help="That read images; -1: one a core.")
    ] = -1,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last whole epoch.")
    ] = False,
    seed: common.Seed = 0,
) -> None:
    """Train a network and write the log of every sample's loss at every epoch."""
    options: dict[str, Any] = {k: v for k, v in locals().items() if k != "adapter"}
    from lossan.training import TrainOptions, find_adapter, make_plan

    chosen = find_adapter(adapter)
    plan = make_plan(TrainOptions.parse(options, "lossan train"))
    chosen.train(plan)
    typer.echo(f"Wrote {output}; now: lossan analyze {output}", err=True)


COMMANDS = {"train": train}
