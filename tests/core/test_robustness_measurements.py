"""The numbers of a card that bounds can be set to."""

from garrison.core.robustness_card import Estimate, Extraction, Inference, rate
from garrison.core.robustness_measurements import measurements
from garrison.robustness.evaluation.gate import bound, judge
from tests.robustness.samples import card


def inference(attack: str, found: float) -> Inference:
    return Inference(
        attack=attack,
        target="membership",
        auc=Estimate(value=0.5 + found, low=0.5, high=0.6 + found),
        true_positives={"0.001": Estimate(value=found, low=found / 2, high=2 * found)},
        samples=2000,
        seconds=1.0,
    )


def test_of_several_attacks_on_the_same_the_one_that_got_furthest_counts() -> None:
    several = card(inference=(inference("loss", 0.001), inference("lira-offline", 0.02), inference("entropy", 0.004)))
    (told,) = [one for one in measurements(several) if one.name == "membership-tpr-at-0.001"]
    assert (told.attack, told.value) == ("lira-offline", 0.02)
    assert judge(several, [bound("membership_tpr_at_0.001=0.005", "over")])[0].answer == "broken"


def test_of_several_copies_for_as_many_queries_the_best_counts() -> None:
    rows = tuple(
        Extraction(strategy=name, defence=defence, queries=500, fidelity=rate(count, 100), accuracy=rate(count, 100))
        for name, defence, count in (("random", "none", 80), ("noise", "none", 30), ("random", "rounding", 95))
    )
    (told,) = [one for one in measurements(card(extraction=rows)) if one.name.startswith("extraction")]
    assert (told.name, told.attack, told.value) == ("extraction-fidelity-after-500", "random", 0.8)


def test_names_are_unique() -> None:
    names = [str(one) for one in measurements(card(inference=(inference("a", 0.1), inference("b", 0.1))))]
    assert len(names) == len(set(names))


def test_bounds_can_be_set_to_what_the_model_tells_of_an_attribute() -> None:
    told = Inference(
        attack="trained on the answers",
        target="native_country",
        accuracy=rate(700, 1000),
        baseline=0.6,
        advantage=Estimate(value=0.1, low=0.06, high=0.14),
        samples=1000,
        seconds=1.0,
    )
    (judged,) = judge(card(inference=(told,)), [bound("attribute_native_country_advantage=0.05", "over")])
    assert judged.answer == "broken"
