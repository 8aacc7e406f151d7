"""What stands is kept up one by one; it must be what the whole log says."""

import random

import pytest

from lossan.review import active, standing
from lossan.review._standing import Standing


def same(kept, decisions, readers, samples):
    stand = standing(decisions)
    count = active(decisions)
    for reader in readers:
        own = [d for d in stand if d.reader == reader]
        assert kept.last(reader) == (own[-1] if own else None)
        for sample in samples:
            opinions = [
                d
                for d in count
                if (d.reader, d.sample_id, d.adjudication) == (reader, sample, False)
            ]
            assert kept.of(reader, sample) == (opinions[-1] if opinions else None)
            said = [d for d in decisions if (d.reader, d.sample_id) == (reader, sample)]
            assert kept.has_decided(reader, sample) == bool(said)
    for sample in samples:
        settled = [d for d in stand if d.sample_id == sample and d.adjudication]
        assert kept.settled(sample) == (settled[-1] if settled else None)
    assert set(kept.readers()) == {d.reader for d in stand}


@pytest.mark.parametrize("seed", range(20))
def test_it_follows_the_log(seed, decide):
    rng = random.Random(seed)  # noqa: S311
    kept, decisions = Standing(), []
    for _ in range(40):
        reader, sample = rng.choice("AB"), rng.randrange(4)
        own = [d for d in decisions if d.reader == reader]  # an undo of an undo among them
        if own and rng.random() < 0.4:
            target = rng.choice(own)
            new = decide(target.sample_id, "undo", reader, undoes=target.id)
        else:
            new = decide(
                sample, rng.choice(["keep", "unsure"]), reader, adjudication=rng.random() < 0.3
            )
        decisions.append(new)
        kept.follow(decisions)
        assert new.id in kept
        same(kept, decisions, "AB", range(4))
    at_once = Standing()
    at_once.follow(decisions)
    same(at_once, decisions, "AB", range(4))
