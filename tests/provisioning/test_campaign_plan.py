"""Plans: sizes of waves, and what is no plan."""

from typing import Any

import pytest

from gateway.provisioning.campaign_plan import Plan, Stratum, Waves, problems_of, wave_size
from tests.provisioning.campaigning import plan


def test_the_defaults_are_a_plan() -> None:
    assert problems_of(Plan()) == []


@pytest.mark.parametrize(("growth", "sizes"), [(1.0, [1, 1, 1]), (2.0, [1, 2, 4]), (4.0, [1, 4, 16])])
def test_waves_grow_exponentially(growth: float, sizes: list[int]) -> None:
    assert [wave_size(Waves(growth=growth), number) for number in range(3)] == sizes


def test_a_late_wave_has_a_size_all_the_same() -> None:
    assert wave_size(Waves(growth=10.0), 5_000) == 1_000_000


@pytest.mark.parametrize(
    "fields",
    [
        {"canaries": 0},
        {"growth": 0.5},
        {"max_at_once": 0},
        {"max_failure_share": 1.0},
        {"min_ended": 0},
        {"max_offline_rise": 0.0},
        {"proof_within_s": 0.0},
        {"soak_s": -1.0},
        {"retry_s": 0.0},
        {"ends_after_s": 1.0},
    ],
)
def test_what_is_no_plan_has_a_reason(fields: dict[str, Any]) -> None:
    assert len(problems_of(plan(**fields))) == 1


def test_a_stratum_without_names_can_be_read() -> None:
    assert str(Stratum("V", "", "1.0")) == "V / unknown / 1.0"
