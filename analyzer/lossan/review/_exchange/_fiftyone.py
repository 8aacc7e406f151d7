"""FiftyOne: a data set of suspects, and the tags that a reader gave them in its App."""

from importlib import import_module
from pathlib import Path
from typing import Any

from lossan.errors import DecisionsError
from lossan.review._decision import as_time
from lossan.review._exchange._answers import Answer, Batch
from lossan.review._exchange._tasks import Tasks

_TAGS = ("keep", "unsure", "exclude")
_RELABEL = "relabel:"
_ID, _FINDINGS = "lossan_sample_id", "lossan_findings"


def write_fiftyone(tasks: Tasks, name: str) -> None:
    """Make a persistent data set of the suspects.

    Parameters
    ----------
    tasks : Tasks
    name : str
        What FiftyOne calls it.

    Raises
    ------
    DecisionsError
        When FiftyOne is not installed, or has such a data set.
    """
    fo = _fiftyone()
    if fo.dataset_exists(name):
        raise DecisionsError(
            f"FiftyOne has a data set {name!r} already, which may hold decisions. Give another "
            f"name, or delete it: fiftyone datasets delete {name}"
        )
    samples = []
    for suspect in tasks.suspects:
        fields: dict[str, Any] = {
            _ID: str(suspect.sample_id),
            _FINDINGS: tasks.fingerprint,
            "rank": suspect.rank,
        }
        if suspect.given is not None:
            fields["given_label"] = fo.Classification(label=str(suspect.given))
        if suspect.suggested is not None:
            fields["suggested_label"] = fo.Classification(
                label=str(suspect.suggested), confidence=suspect.probability
            )
        # FiftyOne wants whole paths, and makes them from where it runs
        samples.append(fo.Sample(filepath=str(Path(suspect.image).absolute()), **fields))
    dataset = fo.Dataset(name)
    dataset.add_samples(samples)
    dataset.persistent = True


def read_fiftyone(name: str, reader: str | None) -> Batch:
    """Read the tags of a data set that `write_fiftyone` made.

    A sample's tag is ``keep``, ``unsure``, ``exclude``, or ``relabel:CLASS``; other tags say
    nothing.

    Parameters
    ----------
    name : str
    reader : str, optional
        Who tagged; FiftyOne does not keep it, so it is needed.

    Raises
    ------
    DecisionsError
        When FiftyOne is not installed, has no such data set, or nobody is named.
    """
    fo = _fiftyone()
    if not reader:
        raise DecisionsError("FiftyOne does not keep who tagged a sample; give --reader NAME.")
    if not fo.dataset_exists(name):
        raise DecisionsError(
            f"FiftyOne has no data set {name!r}; it has: {', '.join(fo.list_datasets()) or 'none'}."
        )
    batch = Batch(f"the data set {name!r}", source=f"fiftyone {name}")
    for number, sample in enumerate(fo.load_dataset(name), 1):
        said = [t for t in sample.tags if t in _TAGS or t.startswith(_RELABEL)]
        where = f"sample {number} ({sample.filepath})"
        if not said:
            batch.n_skipped += 1
        elif len(said) > 1:
            batch.faults.append(
                f"{where}: it has the tags {', '.join(sorted(said))}; needed is one"
            )
        elif not sample.has_field(_ID) or sample[_ID] is None:
            batch.faults.append(f"{where}: it has no {_ID}, so it is none of the queue's")
        else:
            batch.answers.append(_answer(where, sample, said[0], reader))
    return batch


def _answer(where: str, sample: Any, tag: str, reader: str) -> Answer:
    relabelled = tag.startswith(_RELABEL)
    return Answer(
        where=where,
        sample=sample[_ID],
        reader=reader,
        action="relabel" if relabelled else tag,
        label=tag.removeprefix(_RELABEL) if relabelled else None,
        time=_changed(sample),
        findings=sample[_FINDINGS] if sample.has_field(_FINDINGS) else None,
    )


def _changed(sample: Any) -> str | None:
    """Return when a sample was last changed, as decisions state times; tags have none."""
    when = sample["last_modified_at"] if sample.has_field("last_modified_at") else None
    return None if when is None else as_time(when)


def _fiftyone() -> Any:
    try:
        fo = import_module("fiftyone")
    except ImportError as error:
        raise DecisionsError(
            "this needs the package fiftyone, which is not installed: pip install fiftyone"
        ) from error
    try:
        fo.list_datasets()
    except Exception as error:  # each version of FiftyOne has classes of its own for it
        raise DecisionsError(f"FiftyOne cannot reach its database: {error}") from error
    return fo
