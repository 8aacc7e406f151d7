"""What every broken detector is held to."""

import pytest

from lossan.testing import ContractError, check_detector


@pytest.fixture
def rejected():
    """Check that a detector is rejected by a rule, and told so in these words."""

    def check(detector, rule, message):
        with pytest.raises(ContractError) as caught:
            check_detector(detector)
        breaches = [b for b in caught.value.breaches if b.rule == rule]
        assert any(message in b.message for b in breaches), str(caught.value)
        assert f"{rule}: " in str(caught.value)

    return check
