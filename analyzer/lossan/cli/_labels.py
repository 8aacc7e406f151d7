"""``lossan corrupt`` and ``lossan evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossan.cli import _common as common

if TYPE_CHECKING:
    from lossan.io import LabelsTable


def corrupt(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="CSV or Parquet.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="What to write.")],
    rate: common.Rate = 0.06,
    seed: common.Seed = 0,
) -> None:
    """Flip a share of the labels in each class, and keep the truth in true_label."""
    import pyarrow.compute as pc

    from lossan.corrupt import corrupt_labels
    from lossan.io import read_labels, write_labels

    common.refuse_same(output, labels)
    table = read_labels(labels)
    flipped = corrupt_labels(table.column("label"), rate=rate, seed=seed)
    original = table.table["label"].combine_chunks()
    count = int(pc.sum(pc.not_equal(flipped, table.column("label"))).as_py() or 0)
    if not table.has("true_label"):
        table = table.with_column("true_label", original)
    kind = original.type.value_type if hasattr(original.type, "value_type") else original.type
    write_labels(table.with_column("label", flipped.cast(kind)), output)
    typer.echo(f"Flipped {count:,} of {len(flipped):,} labels; wrote {output}", err=True)


def evaluate(
    findings: Annotated[Path, typer.Argument(metavar="FINDINGS", help="A directory or file.")],
    truth: Annotated[
        Path | None,
        typer.Option("--truth", metavar="LABELS", help="Where the truth is, if not in them."),
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Hold findings against the known truth."""
    from lossan.cli._analyze import print_evaluation
    from lossan.cli._show import console
    from lossan.errors import each_of
    from lossan.io import read_findings, read_labels
    from lossan.judge import judge

    def known() -> "LabelsTable | None":
        return None if truth is None else read_labels(truth, needed=("sample_id",))

    table, labels = each_of([lambda: read_findings(findings), known])
    judged = judge(table, labels, str(findings))
    if as_json:
        print(judged.evaluation.model_dump_json(indent=2))
        return
    print_evaluation(console(), judged.evaluation)
    if judged.n_unknown:
        typer.echo(f"{judged.n_unknown:,} findings have no known truth and were left out", err=True)


COMMANDS = {"corrupt": corrupt, "evaluate": evaluate}
