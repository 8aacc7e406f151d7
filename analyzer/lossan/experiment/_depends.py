"""What the result of experiment 1 depends on: N, P, the noise rate, the scaling, the detector."""

from collections.abc import Sequence
from typing import Any

from lossan.experiment._summary import ExperimentSummary, Trial
from lossan.features import usual_early
from lossan.report import BLUE, GREEN, RED, Line, draw_lines

_FIGURES = {"sensitivity": RED, "specificity": BLUE, "auprc": GREEN}
_CALLED = {"auprc": "AUPRC"}


def varying(summary: ExperimentSummary, varied: str, **other: Any) -> list[Trial]:
    """Return the trials that differ in one field and are as the options say in all others.

    Parameters
    ----------
    summary : ExperimentSummary
    varied : {"n_epochs", "early_epochs", "rate", "scale", "detector"}
    other
        Fields that are to have another value than the options say.

    Returns
    -------
    list of Trial
        Numbers in their order; names in the order of the trials, the options' own first.
    """
    options = summary.options
    wanted = None if varied == "n_epochs" else options["early_epochs"]  # half of each N
    usual = {field: options[field] for field in ("rate", "scale", "detector")}
    usual |= {"n_epochs": options["epochs"], **other}
    found: dict[Any, Trial] = {}
    for trial in summary.trials:
        usual_p = wanted or usual_early(trial.n_epochs)
        early = varied == "early_epochs" or trial.early_epochs == usual_p
        if early and all(getattr(trial, k) == usual[k] for k in usual if k != varied):
            found[getattr(trial, varied)] = trial
    if varied in ("scale", "detector"):
        return sorted(found.values(), key=lambda trial: getattr(trial, varied) != usual[varied])
    return [found[value] for value in sorted(found)]


def depends_figures(summary: ExperimentSummary) -> dict[str, Any]:
    """Draw how the figures change with N, P and the noise rate, each where it was varied."""
    raw = varying(summary, "n_epochs", scale="none")
    found = {
        "n": _lines(varying(summary, "n_epochs"), "n_epochs", "N, epochs", raw=raw),
        "p": _lines(varying(summary, "early_epochs"), "early_epochs", "P, early epochs"),
        "rate": _lines(varying(summary, "rate"), "rate", "labels made wrong (%)", factor=100),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


def _lines(
    trials: Sequence[Trial],
    field: str,
    x: str,
    *,
    factor: int = 1,
    raw: Sequence[Trial] = (),
) -> Any:
    if len(trials) < 2:
        return None
    lines = []
    for some, style, kind in ((trials, "-", ""), (raw, ":", ", raw features")):
        for metric, colour in _FIGURES.items():
            known = [t for t in some if t.figures[metric] is not None]
            at = [factor * getattr(t, field) for t in known]
            values = [100 * (t.figures[metric] or 0) for t in known]
            lines.append(Line(at, values, f"{_CALLED.get(metric, metric)}{kind}", colour, style))
    shown = [line for line in lines if len(line.x)]
    alt = "Sensitivity, specificity and AUPRC by " + x
    return draw_lines(shown, x=x, y="%", alt=alt, whole_x=True)
