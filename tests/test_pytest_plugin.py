"""The plugin, in real runs of pytest: what is protected, what fails, and by which policy."""

import pickle
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HOSTILE = "pickle.loads(b\"cposix\\nmkdir\\n(S'canary'\\ntR.\")"


def test_protected_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import pickle, subprocess, sys
        import garrison, pytest

        def test_it_refuses():
            with pytest.raises(garrison.LoadRefused):
                {HOSTILE}

        def test_it_loads():
            assert pickle.loads(pickle.dumps([1])) == [1]

        def test_children():
            code = "import pickle; {HOSTILE.translate({34: "'''"})}"
            assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE).returncode == 1
        """
    )
    pytester.runpytest_subprocess("--garrison-protect").assert_outcomes(passed=3)
    assert not (pytester.path / "canary").exists()
    before = pickle.loads
    pytester.runpytest_inprocess("--garrison-protect", "-k", "refuses").assert_outcomes(passed=1, deselected=2)
    assert pickle.loads is before


def test_without_the_option_nothing_is_guarded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(f"import pickle\n\ndef test_it():\n    {HOSTILE}\n")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    assert (pytester.path / "canary").exists()


def test_the_fixture(pytester: pytest.Pytester) -> None:
    Path(pytester.path / "good.pkl").write_bytes(pickle.dumps([1]))
    Path(pytester.path / "bad.pkl").write_bytes(b"cposix\nsystem\n(S'id'\ntR.")
    pytester.makepyfile(
        """
        import garrison

        def test_good(garrison_scan):
            assert garrison_scan("good.pkl").decision.verdict == "clean"

        def test_bad(garrison_scan):
            garrison_scan(["good.pkl", "bad.pkl"])

        def test_policy(garrison_scan):
            garrison_scan("good.pkl", garrison.Policy(denied_formats=("pickle",)))
        """
    )
    done = pytester.runpytest_subprocess()
    done.assert_outcomes(passed=1, failed=2)
    done.stdout.fnmatch_lines(["garrison denies good.pkl, bad.pkl", "*posix.system*", "*good.pkl is pickle, a denied*"])


def test_the_policy(pytester: pytest.Pytester) -> None:
    Path(pytester.path / "good.pkl").write_bytes(pickle.dumps([1]))
    pytester.makepyfile("def test_it(garrison_scan): garrison_scan('good.pkl')")
    (pytester.path / "garrison.toml").write_text('denied-formats = ["pickle"]')
    (pytester.path / "lax.toml").write_text("")
    pytester.runpytest_subprocess().assert_outcomes(failed=1)
    pytester.runpytest_subprocess("--garrison-policy", "lax.toml").assert_outcomes(passed=1)
    done = pytester.runpytest_subprocess("--garrison-policy", "absent.toml", "--garrison-protect")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*absent.toml: No such file or directory*"])


def test_two_policies_at_once(pytester: pytest.Pytester) -> None:
    (pytester.path / "strict.toml").write_text('threshold = "medium"')
    (pytester.path / "lax.toml").write_text("")
    command = [
        sys.executable,
        "-m",
        "garrison.protect",
        "--policy",
        "strict.toml",
        "-m",
        "pytest",
        "--garrison-protect",
    ]
    done = pytester.run(*command, "--garrison-policy", "lax.toml")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["ERROR: this process is protected already, by another policy"])


def test_a_protected_pytest_that_takes_warnings_for_errors(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    done = pytester.run(sys.executable, "-m", "garrison.protect", "-m", "pytest", "-W", "error")
    done.assert_outcomes(passed=1)
