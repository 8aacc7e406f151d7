"""From results to tables: a Markdown table a log, a summary, JSON."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from metrics import COLUMNS, measure
from peers import OF_LOG, OF_TASK, read, result_path
from work import Work

import lossan
from lossan.detectors import installed

Row = dict[str, Any]
HEADINGS = {
    "method": "method",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "best_f1": "best F1 of its ranking",
    "share": "share reached",
    "flagged": "flagged",
}


def rows_of(work: Work) -> list[Row]:
    """Measure every peer and every installed detector on a log."""
    rows: list[Row] = []
    for name in (*OF_TASK, *OF_LOG):
        if result_path(work, name).exists():
            found = read(work, name)
            rows.append({"method": name, **measure(work.wrong, found.score, found.flagged)})
    ours = {name: (name, work.log) for name, f in installed().items() if f.detector is not None}
    ours |= {f"auto, {known}": ("auto", log) for known, log in _lacking(work.log).items()}
    for method, (name, log) in ours.items():
        rows.append({"method": f"lossan {method}", "ours": True, **_detector(work, name, log)})
    return rows


def _lacking(log: lossan.LossLog) -> dict[str, lossan.LossLog]:
    """Return the log as somebody has it who recorded less."""
    channels = dict.fromkeys(("label_prob", "margin", "predicted", "predicted_prob"))
    return {
        "losses and labels": replace(log, **channels),
        "losses alone": replace(log, **channels, label=None, metadata={}),
    }


def _detector(work: Work, name: str, log: lossan.LossLog) -> Row:
    """Measure one of our detectors, or say why it cannot serve the log."""
    try:
        result = lossan.analyze(log, detector=name)
    except lossan.LossanError as error:
        return {"refused": str(error)}
    back = np.argsort(result.rows)
    score, flagged = (result.table[c].to_numpy()[back] for c in ("score", "flagged"))
    row = measure(work.wrong, score.astype(np.float64), flagged.astype(bool))
    rate = result.summary.noise_rate
    if rate is not None:
        row |= {"noise_rate": rate.estimate, "noise_low": rate.low, "noise_high": rate.high}
    if "probability" in result.table.column_names:
        probability = result.table["probability"].to_numpy()[back].astype(np.float64)
        row |= _calibration(work, probability)
    return row


def _calibration(work: Work, probability: np.ndarray) -> Row:
    """Return the expected calibration error over ten equally wide bins."""
    known = ~np.isnan(probability)
    if not known.any():
        return {}
    bins = np.minimum((probability[known] * 10).astype(int), 9)
    wrong, sure = work.wrong[known], probability[known]
    gaps = [abs(wrong[bins == b].sum() - sure[bins == b].sum()) for b in range(10)]
    return {"calibration_error": float(sum(gaps) / known.sum())}


def of_log(work: Work, rows: Sequence[Row]) -> str:
    """Return the Markdown of one log, best AUPRC first."""
    facts = json.loads(work.facts_path.read_text())
    title = (
        f"### {work.task.name}, {work.recorded} log\n\n{facts['n_samples']:,} samples, "
        f"{facts['epochs']} epochs, {facts['wrong_labels']:,} wrong labels "
        f"({facts['wrong_labels'] / facts['n_samples']:.1%}); in the end the network agrees with "
        f"{facts['accuracy_on_given']:.1%} of the given labels and {facts['accuracy_on_true']:.1%} "
        "of the true ones.\n"
    )
    clean = not work.wrong.any()
    columns = ("method", "flagged") if clean else ("method", *COLUMNS)
    served = [row for row in rows if "refused" not in row]
    if clean:
        served = [row for row in served if "flagged" in row]
        served.sort(key=lambda row: row["flagged"])
    else:
        served.sort(key=lambda row: -row.get("auprc", 0))
    lines = [title, *_markdown(columns, served)]
    lines += [_noise(row) for row in served if "noise_rate" in row]
    lines += [f"\n{r['method']}: {r['refused']}" for r in rows if "refused" in r]
    return "\n".join(lines) + "\n"


def summary(measured: Sequence[tuple[Work, Sequence[Row]]]) -> str:
    """Return the Markdown over all logs: means of what each method reaches."""
    methods = list(dict.fromkeys(row["method"] for _, rows in measured for row in rows))
    noisy = [rows for work, rows in measured if work.wrong.any()]
    clean = [rows for work, rows in measured if not work.wrong.any()]
    lines = []
    for method in methods:
        of_noisy = [row for rows in noisy for row in rows if row["method"] == method]
        of_clean = [row for rows in clean for row in rows if row["method"] == method]
        line: Row = {
            "method": method,
            "logs": sum("auprc" in row for row in of_noisy),
            "cut": sum("f1" in row for row in of_noisy),
        }
        for column in COLUMNS[:-1]:
            values = [row[column] for row in of_noisy if column in row]
            if values:
                line[column] = float(np.mean(values))
        values = [row["flagged"] for row in of_clean if "flagged" in row]
        if values:
            line["flagged"] = float(np.mean(values))
        lines.append(line)
    lines.sort(key=lambda line: -line.get("auprc", 0))
    title = (
        f"### Means over {len(noisy)} logs with wrong labels; flagged: mean share over "
        f"{len(clean)} logs without one; cut: logs on which it has a threshold of its own\n"
    )
    return "\n".join([title, *_markdown(("method", "logs", "cut", *COLUMNS), lines)]) + "\n"


def best_of(measured: Sequence[tuple[Work, Sequence[Row]]]) -> str:
    """Return the Markdown of ``auto`` beside the best peer of each log, which the truth chose."""
    lines = [
        "### auto beside the best peer of each log\n",
        "| log | wrong | estimated | AUPRC | best peer's | F1 | best peer's | of the best F1 "
        "its ranking allows | flagged |",
        "|---" * 9 + "|",
    ]
    for work, rows in measured:
        own = next((r for r in rows if r["method"] == "lossan auto" and "flagged" in r), None)
        if own is None:
            continue
        estimated = "{noise_rate:.1%} ({noise_low:.1%} to {noise_high:.1%})".format_map(own)
        cells = [f"{work.task.name} {work.recorded}", f"{work.wrong.mean():.1%}", estimated]
        for column in ("auprc", "f1"):
            if work.wrong.any():
                peers = [r for r in rows if not r.get("ours") and column in r]
                best = max(peers, key=lambda row: row[column])
                cells += [f"{own[column]:.3f}", f"{best[column]:.3f} {best['method']}"]
            else:
                cells += ["-", "-"]
        cells += [f"{own['share']:.1%}" if work.wrong.any() else "-", f"{own['flagged']:.1%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def verdicts(measured: Sequence[tuple[Work, Sequence[Row]]]) -> str:
    """Return what each of our detectors reaches of what issue 5 asks of the automatic one."""
    noisy = [(work, rows) for work, rows in measured if work.wrong.any()]
    clean = [rows for work, rows in measured if not work.wrong.any()]
    ours = dict.fromkeys(r["method"] for _, rows in measured for r in rows if r.get("ours"))
    lines = ["### Ours beside the best peer of each log\n"]
    for method in ours:
        leads, f1_wins, shares, rates = [], 0, [], []
        for work, rows in noisy:
            row = next(r for r in rows if r["method"] == method)
            if "auprc" not in row:
                continue
            peers = [r for r in rows if not r.get("ours")]
            leads.append(row["auprc"] / max(r["auprc"] for r in peers if "auprc" in r))
            f1_wins += row["f1"] >= max(r["f1"] for r in peers if "f1" in r)
            shares.append(row["share"])
            if "noise_rate" in row:
                rates.append(abs(row["noise_rate"] - work.wrong.mean()))
        flagged = [r["flagged"] for rows in clean for r in rows if r["method"] == method]
        if not leads:
            continue
        said = [
            f"AUPRC at least the best peer's on {sum(x >= 1 for x in leads)} of {len(leads)} logs, "
            f"on average {np.mean(leads):.3f} of it, at worst {min(leads):.3f}",
            f"F1 at least the best peer's on {f1_wins}",
            f"at least 95% of its ranking's best F1 on {sum(x >= 0.95 for x in shares)}, "
            f"at worst {min(shares):.1%}",
        ]
        if rates:
            near = sum(x <= 0.02 for x in rates)
            said.append(f"noise rate within 2 points on {near}, at worst {max(rates):.3f} off")
        if flagged:
            said.append(f"at most {max(flagged):.1%} flagged of a log without a wrong label")
        lines.append(f"- {method}: {'; '.join(said)}.")
    return "\n".join(lines) + "\n"


def write(measured: Sequence[tuple[Work, Sequence[Row]]], folder: Path) -> str:
    """Write ``tables.md`` and ``results.json``; return the summary's Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    logs = [
        {"task": work.task.name, "recorded": work.recorded, "methods": list(rows)}
        for work, rows in measured
    ]
    (folder / "results.json").write_text(json.dumps(logs, indent=1) + "\n")
    head = "\n".join([summary(measured), best_of(measured), verdicts(measured)])
    each = "\n".join(of_log(work, rows) for work, rows in measured)
    (folder / "tables.md").write_text(head + "\n" + each)
    return head


def _noise(row: Row) -> str:
    text = (
        f"\n{row['method']}: estimates {row['noise_rate']:.1%} wrong "
        f"({row['noise_low']:.1%} to {row['noise_high']:.1%})"
    )
    if "calibration_error" in row:
        text += f", calibration error {row['calibration_error']:.3f}"
    return text


def _markdown(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    head = "| " + " | ".join(HEADINGS.get(c, c) for c in columns) + " |"
    lines = ["| " + " | ".join(_cell(row, c) for c in columns) + " |" for row in rows]
    return [head, "|---" * len(columns) + "|", *lines]


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    if value is None:
        return "-"
    if column in ("share", "flagged"):
        return f"{value:.1%}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
