"""``lossan experiment``."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from lossan.cli import _common as common
from lossan.cli._train import train as train_command

_LARGEST = 1 << 16  # bytes of a configuration
_SET_BY_STEPS = {"labels", "output", "adapter", "test", "seed", "resume"}


def _read_configuration(context: typer.Context, path: Path | None) -> Path | None:
    """Let a TOML file give the options that the command line does not."""
    if path is None:
        return None
    import tomllib

    from lossan.errors import OptionError, hint

    try:
        if path.stat().st_size > _LARGEST:
            raise OptionError(f"--config {path} has more than {_LARGEST:,} bytes; it is no config.")
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"--config {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number too long
        raise OptionError(f"--config {path} is not TOML: {error}.") from error
    known = {p.name: p for p in context.command.params if p.name not in ("labels", "config")}
    # by the options' own names, as json, whatever the arguments are called
    called = {o.lstrip("-").replace("-", "_"): n for n, p in known.items() for o in p.opts}
    given = {name.replace("-", "_"): value for name, value in values.items()}
    given = {called.get(name, name): value for name, value in given.items()}
    faults = [
        f"it sets {name!r}; {hint(name, (k.replace('_', '-') for k in called if len(k) > 1))}"
        for name in sorted(set(given) - set(known))
    ]
    faults += [
        f"{name} is a {type(value).__name__}; needed is text, a number or a list of numbers."
        for name, value in given.items()
        if not isinstance(value, str | int | float | list)
    ]
    if ":" in str(given.get("model", "")):
        # a file may come from anywhere, and importing a module runs its code
        faults.append("it names a factory as the model; only the command line may: --model.")
    if faults:
        raise OptionError(f"--config {path}: " + "\n  ".join(faults))
    for name, value in given.items():
        if isinstance(value, list):  # as the command line has it, with commas between
            given[name] = ",".join(map(str, value))
    context.default_map = {**(context.default_map or {}), **given}
    return path


def experiment(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="The gold standard: a table or class folders.")
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="TOML with these options.",
            callback=_read_configuration,
            is_eager=True,
        ),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option("--adapter", help="torch or keras; by default what is installed.")
    ] = None,
    rate: common.Rate = 0.06,
    noise: Annotated[
        str, typer.Option("--noise", help="planted, or given: label is wrong, true_label right.")
    ] = "planted",
    seeds: Annotated[int, typer.Option("--seeds", help="How often to repeat.")] = 3,
    test_share: Annotated[float, typer.Option("--test-share", help="The share for B.")] = 0.13,
    retrain_epochs: Annotated[
        int, typer.Option("--retrain-epochs", help="Of experiment 2; 0 leaves it out.")
    ] = 30,
    reviewer: Annotated[
        str, typer.Option("--reviewer", help="oracle, or people: by lossan review.")
    ] = "oracle",
    detector: common.Detector = "kmeans",
    early_epochs: common.EarlyEpochs = None,
    scale: Annotated[str, typer.Option("--scale", help="standard or none.")] = "standard",
    sweep_epochs: Annotated[
        int | None, typer.Option("--sweep-epochs", help="Show the result for N up to this.")
    ] = None,
    rates: Annotated[
        str | None, typer.Option("--rates", help="Further noise rates, as 0,0.02,0.1.")
    ] = None,
    as_json: common.AsJson = False,
    **training: Any,
) -> None:
    """Do the paper's two experiments: plant wrong labels, find them, correct them, retrain."""
    own: dict[str, Any] = {
        k: v for k, v in locals().items() if k not in ("as_json", "training", "config")
    }
    from lossan.experiment import ExperimentOptions, run_experiment
    from lossan.training import TrainOptions

    own["adapter"] = adapter or _default_adapter()
    own["rates"] = _numbers(rates)
    trained = TrainOptions.parse(
        {**training, "labels": labels, "output": output}, "lossan experiment"
    )
    options = ExperimentOptions.parse({**own, "training": trained}, "lossan experiment")
    summary = run_experiment(options)
    if as_json:
        print(summary.model_dump_json(indent=2))
    else:
        _print(summary)


def _print(summary: Any) -> None:
    from lossan.cli._show import console, percent, table
    from lossan.experiment import PAPER, PAPER_ACCURACY, PAPER_CLOSED

    rows = [
        [name, percent(m.mean, m.low, m.high), PAPER.get(name, "")]
        for name, m in summary.experiment1.mean.items()
    ]
    columns = {"": "left", "mean of seeds (95% interval)": "left", "paper": "left"}
    out = console()
    out.print(table("Experiment 1: wrong labels found", columns, rows))
    two = summary.experiment2
    if two is None:
        return
    rows = [
        [name, percent(f.mean, f.low, f.high), known]
        for name, f, known in (
            ("A, gold standard", two.clean, PAPER_ACCURACY["clean"]),
            ("A', with wrong labels", two.noisy, PAPER_ACCURACY["noisy"]),
            ("A'', corrected", two.refined, PAPER_ACCURACY["refined"]),
        )
    ]
    closed = percent(two.gap_closed, two.gap_closed_low, two.gap_closed_high)
    rows.append(["gap closed", closed, PAPER_CLOSED])
    out.print()
    out.print(table("Experiment 2: best accuracy on B", columns, rows))


def _default_adapter() -> str:
    from lossan.training import installed_adapters

    usable = [n for n, point in installed_adapters().items() if point.load().missing() is None]
    return "torch" if "torch" in usable or not usable else min(usable)


def _numbers(text: str | None) -> tuple[float, ...]:
    from lossan.errors import OptionError

    try:
        return tuple(float(piece) for piece in (text or "").split(",") if piece.strip())
    except ValueError as error:
        raise OptionError(
            f"--rates {text}: {error}; needed are numbers with commas between, as 0,0.02,0.1."
        ) from error


def _with_training_options(command: Any) -> Any:
    """Add the options of ``lossan train`` that no step sets by itself."""
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    named = {p.name for p in own} | _SET_BY_STEPS
    added = [p for n, p in inspect.signature(train_command).parameters.items() if n not in named]
    command.__signature__ = signature.replace(parameters=[*own, *added])
    command.__annotations__ = {p.name: p.annotation for p in [*own, *added]}
    return command


COMMANDS = {"experiment": _with_training_options(experiment)}
