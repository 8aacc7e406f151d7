"""Label Studio: tasks to import there, and the annotations it exports as JSON.

Formats: https://labelstud.io/guide/tasks.html, predictions.html and export.html.
"""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from lossan.errors import DecisionsError
from lossan.review._decision import as_time
from lossan.review._exchange._answers import EXCLUDE, UNSURE, Answer, Batch
from lossan.review._exchange._tasks import Tasks
from lossan.review._suspects import Suspect

_CONTROL, _OBJECT = "label", "image"
_NOT_A_CLASS = {UNSURE: "unsure", EXCLUDE: "exclude"}


def labelling_config(tasks: Tasks) -> str:
    """Return the labelling configuration that the tasks need.

    Raises
    ------
    DecisionsError
        When a class has the name of a choice that is none.
    """
    taken = [label for label in map(str, tasks.classes) if label in _NOT_A_CLASS]
    if taken:
        raise DecisionsError(
            f"the class {taken[0]!r} has the name of the choice for samples of no class, so that "
            "Label Studio could not tell them apart. Use --to csv."
        )
    choices = "\n".join(
        f"    <Choice value={quoteattr(text)}/>"
        for text in (*map(str, tasks.classes), UNSURE, EXCLUDE)
    )
    told = any(suspect.given is not None for suspect in tasks.suspects)
    given = "" if not told else '  <Header value="Given label: $given_label"/>\n'
    return (
        f"<View>\n{given}"
        f'  <Image name="{_OBJECT}" value="$image" zoom="true" zoomControl="true" '
        'brightnessControl="true" contrastControl="true"/>\n'
        f'  <Choices name="{_CONTROL}" toName="{_OBJECT}" choice="single" required="true">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )


def write_label_studio(tasks: Tasks) -> bytes:
    """Write tasks in Label Studio's JSON format, the suggested label as a prediction."""
    made = [
        _task(number, suspect, tasks.fingerprint) for number, suspect in enumerate(tasks.suspects)
    ]
    return json.dumps(made, ensure_ascii=False, indent=1).encode() + b"\n"


def _task(number: int, suspect: Suspect, fingerprint: str) -> dict[str, Any]:
    data = {"image": suspect.image, "sample_id": str(suspect.sample_id), "findings": fingerprint}
    if suspect.given is not None:
        data["given_label"] = str(suspect.given)
    if suspect.suggested is None:
        return {"data": data}
    choice = {
        "id": f"lossan-{number}",
        "from_name": _CONTROL,
        "to_name": _OBJECT,
        "type": "choices",
        "value": {"choices": [str(suspect.suggested)]},
    }
    prediction: dict[str, Any] = {"model_version": "lossan", "result": [choice]}
    if suspect.probability is not None:
        prediction["score"] = suspect.probability
    return {"data": data, "predictions": [prediction]}


def read_label_studio(path: Path, reader: str | None) -> Batch:
    """Read annotations that Label Studio exported as JSON.

    Each annotation is an answer of whom ``completed_by`` names; skipped ones are none.

    Parameters
    ----------
    path : Path
    reader : str, optional
        Who answered, instead of the number or address that Label Studio gives; only where all
        annotations are of one person.

    Raises
    ------
    DecisionsError
        When it is no such file.
    """
    tasks = _read(path)
    batch = Batch(str(path), source="label-studio")
    for number, task in enumerate(tasks, 1):
        _take(batch, f"task {number}", task)
    who = {answer.reader for answer in batch.answers}
    if reader is not None:
        if len(who) > 1:
            raise DecisionsError(
                f"{path} has annotations of {len(who)} people ({', '.join(sorted(who)[:10])}), so "
                f"--reader {reader} would make them one. Leave it out."
            )
        batch.answers = [replace(answer, reader=reader) for answer in batch.answers]
    batch.answers.sort(key=lambda answer: answer.time or "")  # so that the last one counts
    return batch


def _read(path: Path) -> list[Any]:
    try:
        tasks = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DecisionsError(f"{path}: there is no such file. Check the path.") from error
    except OSError as error:
        raise DecisionsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise DecisionsError(
            f"{path} is not JSON ({error}). Export from Label Studio as JSON."
        ) from error
    if not isinstance(tasks, list):
        raise DecisionsError(
            f"{path} holds no list of tasks. Export from Label Studio as JSON, all tasks in a file."
        )
    return tasks


def _take(batch: Batch, where: str, task: Any) -> None:
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict) or not isinstance(task.get("annotations"), list):
        batch.faults.append(
            f"{where}: it lacks data or annotations; export as JSON, not as JSON-MIN"
        )
        return
    sample = data.get("sample_id")
    if not isinstance(sample, (str, int)) or isinstance(sample, bool):
        batch.faults.append(f"{where}: its data have no sample_id")
        return
    answered = False
    for place, annotation in enumerate(task["annotations"], 1):
        if isinstance(annotation, dict) and annotation.get("was_cancelled"):
            continue
        answered = True
        try:
            batch.answers.append(_answer(f"{where}, annotation {place}", data, annotation))
        except ValueError as error:
            batch.faults.append(f"{where}, annotation {place}: {error}")
    batch.n_skipped += not answered


def _answer(where: str, data: dict[str, Any], annotation: Any) -> Answer:
    if not isinstance(annotation, dict):
        raise ValueError("it is no object")  # noqa: TRY004  (a fault of the file, as the others)
    choice = _choice(annotation.get("result"))
    findings, given = data.get("findings"), data.get("given_label")
    action = _NOT_A_CLASS.get(choice, "relabel")
    return Answer(
        where=where,
        sample=str(data["sample_id"]),
        reader=_reader(annotation.get("completed_by")),
        action=action,
        label=choice if action == "relabel" else None,
        time=_time(annotation.get("updated_at") or annotation.get("created_at")),
        seconds=_seconds(annotation.get("lead_time")),
        given=None if given is None else str(given),
        findings=None if findings is None else str(findings),
    )


def _choice(result: Any) -> str:
    found = [
        entry
        for entry in (result if isinstance(result, list) else [])
        if isinstance(entry, dict) and entry.get("type") == "choices"
    ]
    named = [entry for entry in found if entry.get("from_name") == _CONTROL] or found
    values = [entry.get("value") for entry in named]
    chosen = [v.get("choices") for v in values if isinstance(v, dict)]
    if any(not isinstance(c, list) for c in chosen if c is not None):
        raise ValueError("its choices are no list")
    choices = [choice for c in chosen for choice in c or []]
    if len(choices) != 1 or not isinstance(choices[0], str):
        raise ValueError(f"needed is one choice, it has {len(choices)}")
    return choices[0]


def _reader(completed_by: Any) -> str:
    """Return who annotated: Label Studio writes a number, or an object in other versions."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    if completed_by is None or isinstance(completed_by, bool) or completed_by == "":
        raise ValueError("it does not say who made it (completed_by)")
    return f"user {completed_by}" if isinstance(completed_by, int) else str(completed_by)


def _seconds(lead_time: Any) -> float | None:
    if not isinstance(lead_time, (int, float)):
        return None
    try:
        return float(lead_time)
    except OverflowError as error:
        raise ValueError("its lead_time is too large") from error


def _time(text: Any) -> str | None:
    if text is None:
        return None
    try:
        return as_time(datetime.fromisoformat(str(text)))
    except (ValueError, OverflowError) as error:  # in UTC it may lie before the first year
        raise ValueError(f"its time {text!r} is not one") from error
