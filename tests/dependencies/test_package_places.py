"""Where a package's description lies tells how the package is there."""

import pytest

from garrison.dependencies.package_places import npm_package, python_package

INSTALLED, ARCHIVE = ("installed", ""), ("archive", "")


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("venv/lib/python3.11/site-packages/numpy-1.26.4.dist-info/METADATA", INSTALLED),
        ("target/numpy-1.26.4.dist-info/METADATA", INSTALLED),
        ("numpy-1.26.4-cp311-linux.whl!/numpy-1.26.4.dist-info/METADATA", ARCHIVE),
        ("image.tar!/layer.tar!/usr/lib/python3/dist-packages/six-1.16.0.egg-info/PKG-INFO", INSTALLED),
        ("image.tar!/layer.tar!/opt/app/lib/six-1.16.0.dist-info/METADATA", INSTALLED),
        ("usr/lib/python3/dist-packages/six-1.16.0.egg-info", INSTALLED),
        ("six-1.16.0.tar.gz!/six-1.16.0.tar!/six-1.16.0/PKG-INFO", ARCHIVE),
        ("six-1.16.0.tar.gz!/six-1.16.0.tar!/six-1.16.0/six.egg-info/PKG-INFO", ARCHIVE),
        ("lib/site-packages/old-1.0-py3.11.egg/EGG-INFO/PKG-INFO", INSTALLED),
        ("old-1.0-py3.11.egg!/EGG-INFO/PKG-INFO", ARCHIVE),
        ("lib/site-packages/setuptools/_vendor/wheel-0.43.0.dist-info/METADATA", ("installed", "setuptools")),
        ("setuptools-80.0.0.whl!/setuptools/_vendor/wheel-0.43.0.dist-info/METADATA", ("archive", "setuptools")),
    ],
)
def test_python_packages(subject: str, expected: tuple[str, str]) -> None:
    assert python_package(subject) == expected


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("app/node_modules/left-pad/package.json", "installed"),
        ("app/node_modules/@scope/pkg/package.json", "installed"),
        ("app/node_modules/a/node_modules/b/package.json", "installed"),
        ("app/node_modules/a/lib/esm/package.json", None),
        ("app/package.json", None),
        ("left-pad-1.3.0.tgz!/left-pad-1.3.0.tar!/package/package.json", "archive"),
    ],
)
def test_npm_packages(subject: str, expected: str | None) -> None:
    assert npm_package(subject) == expected
