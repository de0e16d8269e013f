"""Path files of Python: what their lines run."""

import pytest

from tests.support import findings_of, worst


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("/usr/local/lib/python3.11/site-packages\nimport sys\n", "low"),
        ("/usr/lib/python3\n./src\n", "none"),
        ("import coverage; coverage.process_startup()\n", "low"),
        (
            "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
            "enabled and __import__('_distutils_hack').add_shim();\n",
            "low",
        ),
        ("import os; os.system('id')\n", "critical"),
        ("src\nimport base64; exec(base64.b64decode('cHJpbnQoMSk='))\n", "critical"),
        ("import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'x'])\n", "critical"),
    ],
)
def test_path_files_of_python(text: str, severity: str) -> None:
    found = findings_of(text.encode(), "site-packages.pth")
    assert worst(found) == severity
    assert not {item.rule for item in found} & {"format-mismatch", "malformed"}
