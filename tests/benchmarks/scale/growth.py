"""How the cost grows with samples and epochs: a table, a plot, and whether it is linear."""

from collections.abc import Iterator
from pathlib import Path

from logs import long_log
from works import Cost, analyze

Costs = dict[tuple[int, int], Cost]
SAMPLES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
EPOCHS = (4, 8, 32, 128)
TOLERANCE = 0.2
_IN_MEMORY = 10_000_000  # samples; more go by the engine that spills


def growth(folder: Path, most: float) -> Iterator[tuple[tuple[str, str, str, str], Costs]]:
    """Measure every log of at most so many losses; yield a row of the table each."""
    costs: Costs = {}
    for n_epochs in EPOCHS:
        for n in SAMPLES:
            if n * n_epochs > most:
                continue
            log = long_log(folder / "growth.parquet", n, n_epochs)
            engine = ("--engine", "disk", "--spill", str(folder)) if n > _IN_MEMORY else ()
            costs[n, n_epochs] = analyze(log, *engine)
            name = f"{n:,} x {n_epochs}{' --engine disk' if engine else ''}"
            beside = _beside(costs, n, n_epochs)
            yield (name, str(costs[n, n_epochs]), "linear within 20%", beside), costs


def _beside(costs: Costs, n: int, n_epochs: int) -> str:
    """Return the time a loss, start and exit apart, and how it compares to the size before."""
    start = min(cost.busy for cost in costs.values())
    each = {size: (c.busy - start) / (size * e) for (size, e), c in costs.items() if e == n_epochs}
    if each[n] * n * n_epochs < start:
        return "less than start and exit"
    told = f"{each[n] * 1e9:.0f} ns of cores a loss"
    before = each.get(n // 10)
    if before is None or before * n / 10 * n_epochs < start:
        return told
    times = each[n] / before
    return f"{told}, {times:.2f} x of the size before{_why(times, n)}"


def _why(times: float, n: int) -> str:
    if abs(times - 1) <= TOLERANCE:
        return ""
    if n > _IN_MEMORY:
        return ": every row is written and read again, as it does not fit in memory"
    if times > 1:
        return ": the cells of an epoch no longer fit in the processor's cache"
    return ": choosing centroids on 50,000 samples costs the same at any size"


def draw(costs: Costs, target: str) -> None:
    """Draw seconds and memory against the number of losses."""
    from matplotlib.figure import Figure

    figure = Figure((9, 4), layout="constrained")
    for axes, field, name in zip(
        figure.subplots(1, 2), ("seconds", "peak"), ("s", "bytes"), strict=True
    ):
        for n_epochs in sorted({e for _, e in costs}):
            places = sorted(n for n, e in costs if e == n_epochs)
            values = [getattr(costs[n, n_epochs], field) for n in places]
            axes.loglog([n * n_epochs for n in places], values, "o-", label=f"{n_epochs} epochs")
        axes.set(xlabel="losses", ylabel=name)
        axes.legend()
    figure.savefig(target)
