"""Package URLs are those of the specification, whoever wrote the parts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL as Reference

from garrison.dependencies.purl import (
    InvalidPackageURL,
    normalise_name,
    osv_ecosystem,
    parse,
    purl,
    with_origin,
)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("pkg:maven/org.apache.commons/io@1.3.4", None),
        ("pkg:GOLANG/google.golang.org/genproto@abcdedf#/googleapis/api/annotations/", "pkg:golang/google.golang.org/genproto@abcdedf#googleapis/api/annotations"),  # noqa: E501
        ("pkg:golang/github.com/Azure/go-autorest@v14", "pkg:golang/github.com/azure/go-autorest@v14"),
        ("pkg:github/Package-url/purl-Spec@244fd47e", "pkg:github/package-url/purl-spec@244fd47e"),
        ("pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie", None),
        ("pkg:deb/debian/attr@1:2.4.47-2%2Bb1?arch=amd64", None),
        ("pkg:docker/customer/dockerimage@sha256:244fd47e?repository_url=gcr.io", None),
        ("pkg:gem/jruby-launcher@1.1.2?Platform=java", "pkg:gem/jruby-launcher@1.1.2?platform=java"),
        ("pkg:Maven/org.apache.xmlgraphics/batik-anim@1.9.1?repositorY_url=repo.spring.io/release&classifier=sources", "pkg:maven/org.apache.xmlgraphics/batik-anim@1.9.1?classifier=sources&repository_url=repo.spring.io%2Frelease"),  # noqa: E501
        ("pkg:npm/%40angular/animation@12.3.1", None),
        ("pkg:npm/@angular/animation", "pkg:npm/%40angular/animation"),
        ("pkg:npm/@angular/animation@12.3.1", "pkg:npm/%40angular/animation@12.3.1"),
        ("pkg:Nuget/EnterpriseLibrary.Common@6.0.1304", "pkg:nuget/EnterpriseLibrary.Common@6.0.1304"),
        ("pkg:PYPI/Django_package@1.11.1.dev1", "pkg:pypi/django-package@1.11.1.dev1"),
        ("pkg:pypi/My.PyPI_.--._Package@1.11.1.dev1", "pkg:pypi/my-pypi-package@1.11.1.dev1"),
        ("pkg:Rpm/fedora/curl@7.50.3-1.fc25?Arch=i386", "pkg:rpm/fedora/curl@7.50.3-1.fc25?arch=i386"),
        ("pkg:///maven/org.apache.commons/io", "pkg:maven/org.apache.commons/io"),
        ("pkg:maven/mygroup/myartifact@1.0.0%20Final?mykey=my%20value", None),
        ("pkg:conda/absl-py@0.4.1?build=py36h06a4308_0&channel=main&subdir=linux-64&type=tar.bz2", None),
        ("pkg:cran/A3@0.9.1", None),
        ("pkg:hackage/AC-HalfInteger@1.2.1", None),
        ("pkg:huggingface/microsoft/deberta-v3-base@559062AD", "pkg:huggingface/microsoft/deberta-v3-base@559062ad"),
        ("pkg:generic/openssl@1.1.10g?checksum=sha1:ad95%2Csha256:41bf", None),
        ("pkg:npm/mypackage@12.4.5?vcs_url=git://host.com/path/to/repo.git%404345", "pkg:npm/mypackage@12.4.5?vcs_url=git:%2F%2Fhost.com%2Fpath%2Fto%2Frepo.git%404345"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_is_written_becomes_canonical(written: str, canonical: str | None) -> None:
    assert str(parse(written)) == (canonical or written)


@pytest.mark.parametrize(
    "text",
    [
        "EnterpriseLibrary.Common@6.0.1304",
        "pkg:EnterpriseLibrary.Common@6.0.1304",
        "pkg:n&g?inx/nginx@0.8.9",
        "pkg:3nginx/nginx@0.8.9",
        "pkg:nginx:a/nginx@0.8.9",
        "pkg%3Amaven/org.apache.commons/io",
        "pkg:maven/@1.3.4",
        "pkg:npm/myartifact@1.0.0?in%20production=true",
        "pkg:",
        "",
    ],
)
def test_what_is_no_package_url_is_said(text: str) -> None:
    with pytest.raises(InvalidPackageURL):
        parse(text)


def test_names_bring_their_namespaces_along() -> None:
    assert purl("npm", "@babel/core", "7.0.0") == "pkg:npm/%40babel/core@7.0.0"
    assert purl("golang", "github.com/Azure/azure-sdk", "v1.0.0+incompatible") == (
        "pkg:golang/github.com/azure/azure-sdk@v1.0.0%2Bincompatible"
    )
    assert purl("pypi", "Torch", "2.1+cu118") == "pkg:pypi/torch@2.1%2Bcu118"
    assert purl("rpm", "openssl", "3.0-1", "rocky", {"epoch": "1", "arch": ""}) == "pkg:rpm/rocky/openssl@3.0-1?epoch=1"
    for type, name in (("", "a"), ("1x", "a"), ("pypi", ""), ("npm", "/")):
        with pytest.raises(InvalidPackageURL):
            purl(type, name)
    with pytest.raises(InvalidPackageURL):
        purl("pypi", "a", qualifiers={"a key": "b"})


def test_names_are_compared_as_their_registry_does() -> None:
    assert normalise_name("pypi", "Scikit_learn") == normalise_name("pypi", "scikit.learn") == "scikit-learn"
    assert normalise_name("npm", "JSONStream") == "JSONStream"
    assert normalise_name("golang", "github.com/Azure/x") == "github.com/Azure/x"
    assert normalise_name("github", "Owner/Repo") == "owner/repo"
    assert parse("pkg:golang/github.com/Azure/x@v1").full_name == "github.com/Azure/x"
    assert parse("pkg:maven/org.apache/io").full_name == "org.apache:io"


@pytest.mark.parametrize(
    ("type", "distribution", "ecosystem"),
    [
        ("pypi", "", "PyPI"),
        ("golang", "", "Go"),
        ("cargo", "", "crates.io"),
        ("npm", "", "npm"),
        ("conda", "", None),
        ("generic", "", None),
        ("deb", "debian:12", "Debian:12"),
        ("deb", "debian:12.5", "Debian:12"),
        ("deb", "debian:bookworm", "Debian:12"),
        ("deb", "ubuntu:22.04", "Ubuntu:22.04:LTS"),
        ("deb", "ubuntu:22.04.3", "Ubuntu:22.04:LTS"),
        ("deb", "ubuntu:23.04", "Ubuntu:23.04"),
        ("deb", "ubuntu:22.10", "Ubuntu:22.10"),
        ("deb", "ubuntu:noble", "Ubuntu:24.04:LTS"),
        ("deb", "ubuntu-pro:18.04", "Ubuntu:Pro:18.04:LTS"),
        ("deb", "ubuntu-pro-fips-updates:20.04", "Ubuntu:Pro:FIPS-updates:20.04:LTS"),
        ("apk", "alpine:3.19.1", "Alpine:v3.19"),
        ("apk", "alpine:v3.19", "Alpine:v3.19"),
        ("apk", "alpine:edge", "Alpine:edge"),
        ("apk", "wolfi:20230201", "Wolfi"),
        ("rpm", "rhel:9.4", "Red Hat:enterprise_linux:9"),
        ("rpm", "rhel", "Red Hat"),
        ("rpm", "rocky:9.3", "Rocky Linux:9"),
        ("rpm", "almalinux:8.10", "AlmaLinux:8"),
        ("rpm", "opensuse-leap:15.6", "openSUSE:Leap 15.6"),
        ("rpm", "opensuse-tumbleweed:20240101", "openSUSE:Tumbleweed"),
        ("rpm", "sles:15.5", "SUSE:Linux Enterprise Server 15 SP5"),
        ("rpm", "sles:15-SP5", "SUSE:Linux Enterprise Server 15 SP5"),
        ("rpm", "sles:15", "SUSE:Linux Enterprise Server 15"),
        ("rpm", "fedora:40", None),
        ("deb", "", None),
    ],
)
def test_ecosystems_have_the_names_of_osv(type: str, distribution: str, ecosystem: str | None) -> None:
    assert osv_ecosystem(type, distribution) == ecosystem


PARTS = st.text(alphabet="abAZ09._-~+@: %?#é&=", min_size=1, max_size=8)


@settings(deadline=None)
@given(st.sampled_from(["cargo", "conda", "cran", "generic", "maven"]), PARTS, PARTS)
def test_parts_agree_with_the_reference_implementation(type: str, name: str, version: str) -> None:
    name, version = name.strip(), version.strip()
    if name:
        ours, theirs = parse(purl(type, name, version)), Reference.from_string(purl(type, name, version))
        assert (ours.name, ours.version) == (theirs.name, theirs.version or "") == (name, version)
        assert str(ours) == theirs.to_string()


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_package_url_or_said_to_be_none(text: str) -> None:
    for candidate in (text, f"pkg:{text}", f"pkg:npm/{text}"):
        try:
            again = str(parse(candidate))
        except InvalidPackageURL:
            continue
        assert str(parse(again)) == again


@pytest.mark.parametrize(
    ("written", "origin", "whole"),
    [
        (
            "pkg:deb/libssl3@3",
            ("debian:12", "openssl", "1:3"),
            "pkg:deb/debian/libssl3@3?distro=debian-12&upstream=openssl%401:3",
        ),
        ("pkg:deb/ubuntu/a@1?distro=jammy", ("debian:12", "", ""), "pkg:deb/ubuntu/a@1?distro=jammy"),
        ("pkg:apk/musl@1", ("alpine", "", ""), "pkg:apk/alpine/musl@1?distro=alpine"),
        ("pkg:rpm/a@1", ("", "b", ""), "pkg:rpm/a@1?upstream=b"),
        ("pkg:pypi/a@1", ("debian:12", "b", ""), "pkg:pypi/a@1"),
        ("no address", ("debian:12", "b", ""), "no address"),
    ],
)
def test_packages_of_systems_say_of_which(written: str, origin: tuple[str, str, str], whole: str) -> None:
    assert with_origin(written, *origin) == whole
