"""Which versions are in use: pins, locks and installed packages, each once and with all places."""

import pytest

from garrison.core.facts import AnyFact, Examination, OperatingSystem, Package, Requirement
from garrison.dependencies.in_use import InUse, Place, packages_in_use


def seen(*facts: AnyFact, subject: str = "requirements.txt") -> Examination:
    return Examination(subject=subject, facts=list(facts))


def used(*facts: AnyFact, subject: str = "requirements.txt") -> list[InUse]:
    return list(packages_in_use([seen(*facts, subject=subject)]).definite)


def system(
    ecosystem: str, name: str, version: str, distribution: str = "", source: str = "", source_version: str = ""
) -> Package:
    return Package(
        purl=f"pkg:{ecosystem}/{name}@{version}",
        ecosystem=ecosystem,
        name=name,
        version=version,
        state="installed",
        distribution=distribution,
        source_name=source,
        source_version=source_version,
    )


@pytest.mark.parametrize(
    ("ecosystem", "specifier", "version"),
    [
        ("pypi", "==1.2.3", "1.2.3"),
        ("pypi", "== 1.2.3", "1.2.3"),
        ("pypi", "(==1.2.3)", "1.2.3"),
        ("pypi", "===1.11.0+cu113", "1.11.0+cu113"),
        ("pypi", "==1!2.0rc1", "1!2.0rc1"),
        ("pypi", ">=1.0,==1.4", "1.4"),
        ("pypi", "2.31.0", "2.31.0"),  # as Poetry pins
        ("pypi", "=2.31.0", "2.31.0"),
        ("pypi", "2.*", None),
        ("pypi", "==${VERSION}", None),
        ("pypi", "==1.2.*", None),
        ("pypi", ">=1.2", None),
        ("pypi", "~=1.2", None),
        ("pypi", "", None),
        ("conda", "=1.11.0", "1.11.0"),
        ("conda", "==1.11", "1.11"),
        ("conda", "=1.2.3=py38_0", "1.2.3"),
        ("conda", "==1.2.3=h1234_0", "1.2.3"),
        ("conda", "1.2.3 py38_0", "1.2.3"),
        ("conda", "=3", None),
        ("conda", "=1.2.*", None),
        ("conda", ">=1.2", None),
        ("conda", "=1.2|1.3", None),
        ("npm", "1.2.3", "1.2.3"),
        ("npm", "=1.2.3", "1.2.3"),
        ("npm", "1.2", None),
        ("npm", "next", None),
        ("npm", "^1.2.3", None),
        ("npm", "1.2.3 - 2.0.0", None),
        ("golang", "v1.2.3", "1.2.3"),
        ("golang", "v0.0.0-20240102030405-abcdefabcdef", "0.0.0-20240102030405-abcdefabcdef"),
        ("golang", "v*", None),
        ("cargo", "=1.2.3", "1.2.3"),
        ("cargo", "1.2.3", None),
    ],
)
def test_a_requirement_is_definite_when_it_leaves_no_choice(
    ecosystem: str, specifier: str, version: str | None
) -> None:
    found = packages_in_use([seen(Requirement(ecosystem=ecosystem, name="example", specifier=specifier))])
    assert [one.version for one in found.definite] == ([version] if version else [])
    assert [one.name for one in found.indefinite] == ([] if version else ["example"])


@pytest.mark.parametrize(
    ("name", "source", "version"),
    [
        ("torch", "https://host/whl/cu113/torch-1.11.0%2Bcu113-cp38-cp38-linux_x86_64.whl#sha256=00", "1.11.0+cu113"),
        ("scikit-learn", "https://host/scikit_learn-1.0.2-cp38-cp38-manylinux_2_17_x86_64.whl", "1.0.2"),
        ("example", "./dist/example-2.0.tar.gz", "2.0"),
        ("example", "git+https://github.com/owner/example@v2.0", None),
        ("example", "file:///opt/conda/conda-bld/example_1655968806487/work", None),
        ("example", "https://host/other-2.0.tar.gz", None),
    ],
)
def test_the_name_of_a_wheel_or_an_sdist_tells_its_version(name: str, source: str, version: str | None) -> None:
    found = used(Requirement(ecosystem="pypi", name=name, source=source))
    assert [one.version for one in found] == ([version] if version else [])


@pytest.mark.parametrize(
    ("conda", "pypi"),
    [("pytorch", "torch"), ("ruamel_yaml", "ruamel-yaml"), ("matplotlib-base", "matplotlib"), ("Pillow", "pillow")],
)
def test_packages_of_conda_go_by_their_names_on_pypi(conda: str, pypi: str) -> None:
    (one,) = used(Requirement(ecosystem="conda", name=conda, specifier="=1.11.0"))
    assert (one.ecosystem, one.name, one.written) == ("PyPI", pypi, conda)
    assert one.purl.startswith("pkg:conda/")


def test_programs_and_libraries_of_conda_are_no_projects_on_pypi() -> None:
    (one,) = used(Requirement(ecosystem="conda", name="openssl", specifier="=1.1.1"))
    assert one.ecosystem == ""


def test_one_version_is_one_package_with_all_its_places() -> None:
    found = packages_in_use(
        [
            seen(
                Requirement(ecosystem="pypi", name="Some_Thing", specifier="==1.0", place="line 1"),
                Requirement(ecosystem="pypi", name="some.thing", specifier="==1.0", place="line 9"),
                Requirement(ecosystem="pypi", name="some.thing", specifier="==2.0", place="line 10"),
            ),
            seen(
                Requirement(ecosystem="conda", name="some-thing", specifier="=1.0", place="dependencies 1"),
                subject="environment.yml",
            ),
        ]
    ).definite
    assert [(one.name, one.version) for one in found] == [("some-thing", "1.0"), ("some-thing", "2.0")]
    places = (
        Place("requirements.txt", "line 1"),
        Place("requirements.txt", "line 9"),
        Place("environment.yml", "dependencies 1"),
    )
    assert found[0].places == places


def test_what_a_lock_file_fixes_in_the_same_directory_is_definite() -> None:
    manifest = seen(Requirement(ecosystem="pypi", name="torch", specifier=">=2"), subject="a/pyproject.toml")
    locked = Package(purl="pkg:pypi/torch@2.1", ecosystem="pypi", name="torch", version="2.1", state="locked")
    found = packages_in_use([manifest, seen(locked, subject="a/poetry.lock")])
    assert not found.indefinite and len(found.definite) == 1
    elsewhere = packages_in_use([manifest, seen(locked, subject="b/poetry.lock")])
    assert [one.name for one in elsewhere.indefinite] == ["torch"]


def test_a_constraint_fixes_what_somebody_asks_for_and_asks_for_nothing_itself() -> None:
    asked = Requirement(ecosystem="pypi", name="torch")
    limit = Requirement(ecosystem="pypi", name="torch", specifier="==2.1", constraint=True)
    loose = Requirement(ecosystem="pypi", name="other", specifier=">=1", constraint=True)
    found = packages_in_use([seen(asked), seen(limit, loose, subject="constraints.txt")])
    assert [(one.name, one.version) for one in found.definite] == [("torch", "2.1")]
    assert not found.indefinite


def test_packages_of_debian_go_by_their_sources_and_their_system() -> None:
    release = seen(OperatingSystem(id="debian", version="12"), subject="image.tar!/etc/os-release")
    packages = seen(
        system("deb", "libssl3", "3.0.11-1", source="openssl"),
        system("deb", "openssl", "3.0.11-1"),
        system("deb", "libc6", "2.36-9+b1", source="glibc", source_version="2.36-9"),
        subject="image.tar!/var/lib/dpkg/status",
    )
    found = packages_in_use([release, packages]).definite
    assert [(one.ecosystem, one.name, one.version, one.written) for one in found] == [
        ("Debian:12", "openssl", "3.0.11-1", "libssl3, openssl"),
        ("Debian:12", "glibc", "2.36-9", "libc6"),
    ]


def test_each_root_has_its_own_system() -> None:
    found = packages_in_use(
        [
            seen(OperatingSystem(id="debian", version="12"), subject="roots/a/usr/lib/os-release"),
            seen(OperatingSystem(id="alpine", version="3.19.1"), subject="roots/b/etc/os-release"),
            seen(system("deb", "zlib1g", "1.2", source="zlib"), subject="roots/a/var/lib/dpkg/status"),
            seen(system("apk", "zlib", "1.3-r0"), subject="roots/b/lib/apk/db/installed"),
            seen(system("deb", "zlib1g", "1.1", source="zlib"), subject="elsewhere/var/lib/dpkg/status"),
        ]
    ).definite
    assert [(one.ecosystem, one.version) for one in found] == [
        ("Debian:12", "1.2"),
        ("Alpine:v3.19", "1.3-r0"),
        ("", "1.1"),
    ]


@pytest.mark.parametrize(
    ("distribution", "name", "source", "version", "expected"),
    [
        ("debian:12", "linux-image-6.1.0-18-amd64", "linux-signed-amd64", "6.1.76-1", "linux"),
        ("ubuntu:22.04", "linux-image-5.15.0-91-generic", "linux-signed", "5.15.0-91.101", "linux"),
        ("ubuntu:22.04", "linux-image-6.5.0-14-generic", "linux-signed-hwe-6.5", "6.5.0-14.14", "linux-hwe-6.5"),
    ],
)
def test_signed_kernels_go_by_the_source_of_the_kernel(
    distribution: str, name: str, source: str, version: str, expected: str
) -> None:
    (one,) = used(system("deb", name, version, distribution, source, "6.1.76+1"))
    assert (one.name, one.version) == (expected, version)


def test_rpm_packages_are_looked_up_by_both_names() -> None:
    (one,) = used(system("rpm", "openssl-libs", "1:3.0.7-1.el9", "rocky:9.3", "openssl", "1:3.0.7-1.el9"))
    assert (one.ecosystem, one.name, one.also) == ("Rocky Linux:9", "openssl-libs", (("openssl", "1:3.0.7-1.el9"),))


def test_the_channel_of_a_conda_package_takes_nothing_from_its_version() -> None:
    fact = Requirement(ecosystem="conda", name="jinja2", specifier="=2.10", source="conda-forge")
    assert [(one.name, one.version) for one in used(fact)] == [("jinja2", "2.10")]


@pytest.mark.parametrize("specifier", ["2.10", "=2.10", "v2.10", " 2.10 "])
def test_what_poetry_takes_for_exact_is_exact(specifier: str) -> None:
    found = used(Requirement(ecosystem="pypi", name="jinja2", specifier=specifier), subject="pyproject.toml")
    assert [one.version.lstrip("v") for one in found] == ["2.10"]


@pytest.mark.parametrize("ending", ["tar.gz", "tar.xz", "tar", "ZIP", "tgz", "tar.bz2"])
def test_the_name_of_an_archive_tells_the_version(ending: str) -> None:
    fact = Requirement(ecosystem="pypi", name="jinja2", source=f"https://example.org/Jinja2-2.10.{ending}#sha256=a")
    assert [one.version for one in used(fact)] == ["2.10"]
