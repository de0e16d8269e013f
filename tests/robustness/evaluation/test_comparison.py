"""Two cards side by side."""

from garrison.core.robustness_card import rate
from garrison.robustness.evaluation.comparison import compare
from tests.robustness.samples import card, evasion, full_card


def test_a_difference_that_the_intervals_carry_is_called_one() -> None:
    found = compare(card(), card(evasion=(evasion(600, 1000),), clean_accuracy=rate(905, 1000)))
    verdicts = {one.name: one.verdict for one in found.differences}
    assert verdicts == {"accuracy": "no telling", "robust-accuracy@linf:0.0313725": "better"}
    backwards = compare(card(evasion=(evasion(600, 1000),)), card())
    assert [one.verdict for one in backwards.differences] == ["no telling", "worse"]


def test_the_interval_of_a_difference_is_as_published() -> None:
    # Newcombe 1998 (interval estimation for the difference), method 10: 56/70 against 48/80 is 0.0524 to 0.3339.
    found = compare(card(clean_accuracy=rate(48, 80)), card(clean_accuracy=rate(56, 70))).differences[0]
    assert found.low is not None
    assert found.high is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


def test_less_leakage_is_better() -> None:
    leaky, tight = full_card(), full_card(inference=(), triggers=())
    found = compare(leaky, tight)
    assert "membership-auc" in found.only_before
    from garrison.core.robustness_card import Estimate

    less = full_card(
        inference=(
            *[
                type(one)(
                    **{
                        **{name: getattr(one, name) for name in one.__struct_fields__},
                        "auc": Estimate(value=0.5, low=0.48, high=0.52),
                    }
                )
                for one in leaky.inference[:1]
            ],
        )
    )
    verdicts = {one.name: one.verdict for one in compare(leaky, less).differences}
    assert verdicts["membership-auc"] == "better"


def test_what_makes_cards_incomparable_is_noted() -> None:
    notes = compare(card(), card(seed=1, complete=False)).notes
    assert any("seeds differ" in note for note in notes)
    assert any("not complete" in note for note in notes)
