"""``lossan analyze``."""

from contextlib import suppress
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossan.cli import _common as common
from lossan.errors import OptionError

if TYPE_CHECKING:
    from lossan.engines import LargeResult
    from lossan.losslog import LossLog
    from lossan.pipeline import Result
    from lossan.results import Evaluation


@common.reads_log
def analyze(
    logs: Annotated[
        list[str],
        typer.Argument(
            metavar="LOG",
            help="The loss log, - is standard input; several of one data set sharpen the result.",
        ),
    ],
    *,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="DIR", help="Where to write the findings."),
    ] = None,
    detector: common.Detector = "kmeans",
    early_epochs: common.EarlyEpochs = None,
    scale: Annotated[
        str, typer.Option("--scale", help="Features before clustering: standard or none.")
    ] = "standard",
    by_class: Annotated[
        bool, typer.Option("--by-class", help="Each given class by itself.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the detector."),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=0, help="How many suspects to print.")] = 20,
    seed: common.Seed = 0,
    engine: Annotated[
        str,
        typer.Option(
            "--engine", help="local: in memory; disk: beyond it; dask: on a cluster's workers."
        ),
    ] = "local",
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Of Dask; by default workers here."),
    ] = None,
    spill: Annotated[
        str | None,
        typer.Option("--spill", metavar="DIR", help="Room for what does not fit in memory."),
    ] = None,
    as_json: common.AsJson = False,
    **reading: Any,
) -> None:
    """Score the samples of a loss log and print the most suspicious ones."""
    options: dict[str, Any] = {
        "detector": detector,
        "early_epochs": early_epochs,
        "scale": scale,
        "settings": common.parse_settings(settings or []),
        "seed": seed,
    }
    if output is not None:
        from lossan.io import check_output

        check_output(output)
    if engine == "local":
        _refuse({"--scheduler": scheduler}, "is for --engine dask")
        _refuse({"--spill": spill}, "is for --engine disk or dask")
        _tell(_in_memory(logs, options | {"by_class": by_class}, reading), output, top, as_json)
        return
    _refuse({"--by-class": by_class or None}, f"cannot be had with --engine {engine}")
    if len(logs) > 1:
        raise OptionError(f"--engine {engine} takes one log, not {len(logs)}.")
    from lossan.engines import analyze_large

    with (
        common.task_progress() as tasks,
        analyze_large(
            logs[0],
            engine=engine,
            scheduler=scheduler,
            spill=spill,
            progress=tasks,
            **options,
            **reading,
        ) as result,
    ):
        _tell(result, output, top, as_json)


def _refuse(options: dict[str, Any], why: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise OptionError(f"{option} {why}.")


def _in_memory(logs: list[str], options: dict[str, Any], reading: dict[str, Any]) -> "Result":
    from lossan.io import read_log, read_logs

    # while cores decode; pandas too, which pyarrow imports once it is given an array
    needed = ("lossan.pipeline", "pandas", "lossan.cli._show")
    Thread(target=_import, args=needed, daemon=True).start()

    def read(log: str) -> "LossLog":
        with common.reading_progress("reading") as progress:
            return read_log(log, progress=progress, **reading)

    found = read_logs(logs, read)
    from lossan.pipeline import analyze as run

    return run(found, name=", ".join(common.printable(log) for log in logs), **options)


def _import(*names: str) -> None:
    for name in names:
        with suppress(ImportError):
            import_module(name)


def _tell(result: "Result | LargeResult", output: str | None, top: int, as_json: bool) -> None:
    if output is not None:
        from lossan.io import PICTURE
        from lossan.plots import can_plot

        files = result.save(output)
        typer.echo(f"Wrote {', '.join(files)} to {output}", err=True)
        if PICTURE not in files and not can_plot():
            typer.echo(f"For {PICTURE} install the extra: pip install 'lossan[report]'", err=True)
    if as_json:
        print(result.summary.model_dump_json(indent=2))
    else:
        _print(result, top)


def _print(result: "Result | LargeResult", top: int) -> None:
    from lossan.cli._show import console, percent, table

    out, view = console(), result.overview
    recorded = f", recorded in {view.recorded} mode" if view.recorded else ""
    logs = f" of {view.n_logs} logs" if view.n_logs > 1 else ""
    out.print(
        f"{view.n_samples:,} samples x {view.n_epochs} epochs{logs}{recorded}; "
        f"detector {view.detector}",
        markup=False,
    )
    unscored = f"; {view.n_unscored:,} could not be scored" if view.n_unscored else ""
    out.print(
        f"{view.n_flagged:,} label{'' if view.n_flagged == 1 else 's'} to look at again "
        f"({percent(view.n_flagged / view.n_samples)}){unscored}",
        style="bold",
    )
    if view.noise_rate is not None:
        rate = view.noise_rate
        out.print(f"estimated share of wrong labels: {percent(rate.estimate, rate.low, rate.high)}")
    for note in view.notes:
        out.print(f"note: {common.visible(note)}", markup=False)
    if view.evaluation is not None:
        print_evaluation(out, view.evaluation)
    if top:
        out.print()
        out.print(table(*_suspects(result, top)))
    _print_sequences(out, result)


def print_evaluation(out: Any, evaluation: "Evaluation") -> None:
    """Print flags against the truth, each rate with its 95% interval."""
    from lossan.cli._show import percent, table

    e = evaluation
    rates = ("sensitivity", "specificity", "precision", "f1", "auroc", "auprc")
    cases = {
        "sensitivity": f"{e.tp} of {e.tp + e.fn} wrong labels flagged",
        "specificity": f"{e.tn} of {e.tn + e.fp} right labels left alone",
        "precision": f"{e.tp} of {e.tp + e.fp} flagged labels wrong",
    }
    rows = []
    for rate in rates:
        value, low, high = (getattr(e, f"{rate}{end}") for end in ("", "_low", "_high"))
        rows.append([rate, percent(value, low, high), cases.get(rate, "")])
    if e.calibration_error is not None:
        rows.append(["calibration", percent(e.calibration_error), "expected error of probability"])
    out.print()
    out.print(
        table(
            f"Against the known truth ({e.n:,} samples)",
            {"": "left", "value (95% interval)": "left", "cases": "left"},
            rows,
        )
    )


def _suspects(
    result: "Result | LargeResult", top: int
) -> tuple[str, dict[str, str], list[list[Any]]]:
    from lossan.cli._show import peak, sparkline

    found, losses = result.head(top)
    columns = {"rank": "right", "sample": "left", "label": "left"}
    fields = ["rank", "sample_id", "label"]
    for field, heading in (("suggested_label", "suggested"), ("true_label", "true")):
        if field in found.column_names and found[field].null_count < len(found):
            columns[heading] = "left"
            fields.append(field)
    columns |= {"score": "right", "mean loss": "right", "flagged": "left", "loss by epoch": "left"}
    rows = []
    highest = peak(losses)
    for record, sequence in zip(found.to_pylist(), losses, strict=True):
        row = [record[f] for f in fields]
        score, flag = f"{record['score']:.3f}", "yes" if record["flagged"] else ""
        rows.append([*row, score, f"{record['f1_mean']:.3f}", flag, sparkline(sequence, highest)])
    title = "The most suspicious" if len(rows) == 1 else f"The {len(rows)} most suspicious"
    return title, columns, rows


def _print_sequences(out: Any, result: "Result | LargeResult") -> None:
    """Draw the paper's Fig. 4: typical sequences of both kinds on one scale."""
    from lossan.cli._show import peak, sparkline

    flagged, unflagged = result.typical(8)
    if not len(flagged) + len(unflagged):
        return
    highest = max(peak(flagged), peak(unflagged))
    out.print()
    out.print(f"Typical loss sequences, from 0 to {highest:.2f}", style="bold")
    for name, part in (("flagged", flagged), ("unflagged", unflagged)):
        if len(part):
            lines = "  ".join(sparkline(sequence, highest) for sequence in part)
            out.print(f"{name:>9}  {lines}", markup=False)


COMMANDS = {"analyze": analyze}
