from hypothesis import given

from garrison.core.facts import Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

INSTALLED = b"""C:Q1p78yvTLG094tHE1+dToJGbmYzQE=
P:libcrypto3
V:3.1.4-r5
A:x86_64
S:1689562
I:4206592
T:Crypto library from openssl
U:https://www.openssl.org/
L:Apache-2.0
o:openssl
m:Ariadne Conill <ariadne@dereferenced.org>
t:1706288406
c:b784a22cad0c452586b438cb7a597d846fc09ff4
D:so:libc.musl-x86_64.so.1 musl>=1.2 !broken
p:so:libcrypto.so.3=3
F:etc
F:etc/ssl
R:ct_log_list.cnf
Z:Q1olh8TpdAi2QnTl4FK3TjdUiSwTo=

C:Q1abcdefghijklmnopqrstuvwxyz0=
P:musl
V:1.2.4_git20230717-r4
A:x86_64
o:musl
L:MIT

"""


def packages(data: bytes, name: str = "lib/apk/db/installed") -> dict[str, Package]:
    return {fact.name: fact for fact in facts_of(data, name) if isinstance(fact, Package)}


def test_packages() -> None:
    found = packages(INSTALLED)
    assert {(p.name, p.version, p.place) for p in found.values()} == {
        ("libcrypto3", "3.1.4-r5", "line 1"),
        ("musl", "1.2.4_git20230717-r4", "line 21"),
    }
    library = found["libcrypto3"]
    assert library.purl == "pkg:apk/libcrypto3@3.1.4-r5?arch=x86_64"
    assert (library.source_name, library.licences) == ("openssl", ("Apache-2.0",))
    assert library.dependencies == ("so:libc.musl-x86_64.so.1", "musl")
    assert findings_of(INSTALLED, "installed") == []


def test_the_index_of_a_repository_is_not_what_is_installed() -> None:
    assert not packages(INSTALLED, "APKINDEX")


def test_a_record_without_a_version_is_said_and_the_others_stay() -> None:
    broken = INSTALLED.replace(b"V:1.2.4_git20230717-r4\n", b"")
    assert set(packages(broken)) == {"libcrypto3"}
    assert examine_bytes(broken, "installed")[0].state == "partial"


@given(data=damaged(INSTALLED))
def test_damage_never_raises(data: bytes) -> None:
    assert_no_failure(data, "lib/apk/db/installed")
