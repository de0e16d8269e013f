"""CNTK models: functions of the user name Python."""

from hypothesis import given

from garrison.core.facts import Import
from tests.artifacts.protobuf_encoding import field
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst


def text_value(value: str) -> bytes:
    return field(1, 1) + field(2, 6) + field(8, value)


def dictionary(**entries: bytes) -> bytes:
    return field(1, 1) + b"".join(field(2, field(1, key) + field(2, value)) for key, value in entries.items())


def inner(data: bytes) -> bytes:
    return field(1, 1) + field(2, 10) + field(12, data)


def vector(*values: bytes) -> bytes:
    return field(1, 1) + field(2, 9) + field(11, b"".join(field(1, value) for value in values))


def user_function(module: str, name: str) -> bytes:
    return dictionary(**{"module": text_value(module), "class": text_value(name), "op_name": text_value("f")})


CNTK = dictionary(version=field(1, 1) + field(5, 3), uid=text_value("c"), type=text_value("CompositeFunction"))


def test_ordinary_models_are_no_finding() -> None:
    assert findings_of(CNTK) == []
    assert all(item.state == "examined" for item in examine_bytes(CNTK))


def test_functions_of_the_user_in_cntk_are_imports() -> None:
    data = dictionary(
        uid=text_value("x"), primitive_functions=vector(inner(CNTK), inner(user_function("os", "system")))
    )
    assert [(f.module, f.name) for f in facts_of(data) if isinstance(f, Import)] == [("os", "system")]
    assert worst(findings_of(data)) == "critical"
    honest = dictionary(uid=text_value("x"), root=vector(vector(inner(user_function("my_layers", "Mine")))))
    assert [(f.rule, f.severity) for f in findings_of(honest)] == [("unknown-import", "medium")]


def test_names_that_are_program_text_for_cntk() -> None:
    data = dictionary(uid=text_value("x"), a=inner(user_function("my_layers", "Mine; import os; os.system('id')")))
    (found,) = findings_of(data)
    assert (found.rule, found.severity) == ("suspicious-call", "high")


@given(damaged(CNTK))
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
