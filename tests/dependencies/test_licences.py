"""What statements of licences stand for, and what a policy makes of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.dependencies.licences import allowed, choices, expression, matches, stated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("The MIT License", "MIT"),
        ("apache-2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache Software License 2.0", "Apache-2.0"),
        ("BSD 3-Clause License", "BSD-3-Clause"),
        ("(mit or APACHE-2.0) and bsd-3-clause", "(MIT OR Apache-2.0) AND BSD-3-Clause"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("License :: OSI Approved :: MIT License", "MIT"),
        ("License :: OSI Approved :: GNU Affero General Public License v3", "AGPL-3.0-only"),
        ("License :: OSI Approved", ""),
        ("llama3.1", "LicenseRef-llama3.1"),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
        ("UNLICENSED", "LicenseRef-Proprietary"),
        ("see LICENSE file", ""),
        ("", ""),
    ],
)
def test_statements_stand_for_expressions(text: str, expected: str) -> None:
    assert expression(text) == expected


def test_a_text_that_is_understood_replaces_classifiers_and_several_of_those_are_alternatives() -> None:
    apache, bsd = "License :: OSI Approved :: Apache Software License", "License :: OSI Approved :: BSD License"
    assert stated(["MIT", apache]) == ("MIT",)
    assert stated(["Dual License", apache, bsd]) == ("Apache-2.0", "BSD-3-Clause OR BSD-2-Clause")
    assert stated(["as is"]) == ()


def test_an_expression_can_be_met_in_several_ways() -> None:
    assert choices("(MIT OR Apache-2.0) AND ISC") == (frozenset({"MIT", "ISC"}), frozenset({"Apache-2.0", "ISC"}))
    assert choices("A WITH B OR C") == (frozenset({"A WITH B"}), frozenset({"C"}))
    assert choices("MIT AND") == () and choices("") == ()


@pytest.mark.parametrize(
    ("text", "allow", "deny", "passes"),
    [
        ("MIT", ("MIT", "Apache-2.0"), (), True),
        ("ISC", ("MIT",), (), False),
        ("MIT OR GPL-3.0-only", (), ("GPL-3.0",), True),
        ("MIT AND GPL-3.0-only", (), ("GPL-3.0",), False),
        ("AGPL-3.0-or-later", (), ("AGPL-*",), False),
        ("LGPL-2.1-or-later", (), ("GPL-*",), True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", (), ("GPL-2.0-only",), False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ("GPL-2.0-only WITH Classpath-exception-2.0",), (), True),
        ("LicenseRef-llama2", (), ("llama2",), False),
        ("MIT", ("mit",), (), True),
    ],
)
def test_policies(text: str, allow: tuple[str, ...], deny: tuple[str, ...], passes: bool) -> None:
    assert allowed(text, allow, deny) is passes


def test_versions_match_with_and_without_what_follows_them() -> None:
    assert matches("GPL-3.0-only", ["GPL-3.0"]) and matches("GPL-3.0-or-later", ["gpl-3.0-or-later"])
    assert not matches("GPL-3.0-only", ["GPL-3.0-or-later"])


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet=st.sampled_from("MIT()ANDORWITH -2.0+apache\n"), max_size=60))
def test_any_text_is_read(text: str) -> None:
    found = expression(text)
    assert not found or choices(found)


def test_many_choices_stay_bounded() -> None:
    assert len(choices(" AND ".join(["(MIT OR ISC OR Zlib)"] * 40))) <= 256
