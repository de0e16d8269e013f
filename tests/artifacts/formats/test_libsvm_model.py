"""Models of LIBSVM and LIBLINEAR."""

import pytest

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of

MACHINE = b"svm_type c_svc\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\nrho 0\nlabel 1 -1\n"
MACHINE += b"nr_sv 1 1\nSV\n1 1:1 \n-1 1:-1 \n"
LINEAR = b"solver_type L2R_L2LOSS_SVC_DUAL\nnr_class 2\nlabel 1 -1\nnr_feature 2\nbias -1\nw\n0.5 \n0.25 \n"


@pytest.mark.parametrize(("data", "framework"), [(MACHINE, "libsvm"), (LINEAR, "liblinear")])
def test_an_honest_model_is_named_and_gives_no_finding(data: bytes, framework: str) -> None:
    assert findings_of(data) == []
    (artifact,) = [f for f in facts_of(data) if isinstance(f, Artifact)]
    assert (artifact.format, artifact.details["framework"]) == ("libsvm", framework)


@pytest.mark.parametrize("count", [b"99999999", b"-5", b"many"])
def test_counts_for_which_there_is_no_room(count: bytes) -> None:
    data = MACHINE.replace(b"total_sv 2", b"total_sv " + count)
    assert [(item.rule, item.severity) for item in findings_of(data)] == [("malformed", "low")]


def test_texts_about_solvers_are_no_models() -> None:
    assert examine_bytes(b"solver_type is an option\n")[-1].formats != ["libsvm"]
    assert examine_bytes(b"svm_type c_svc\nsomething else\n")[-1].formats != ["libsvm"]
