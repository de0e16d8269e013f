"""How an image is configured and built is judged, and ordinary images are left in peace."""

import datetime

import pytest

from garrison.core.facts import AnyFact, Examination, FileMode, Setting
from garrison.core.judgement import judge
from garrison.core.policy import Policy


def judged(*facts: AnyFact) -> dict[str, str]:
    return {f.rule: f.severity for f in judge([Examination(subject="image", facts=list(facts))], Policy())[0]}


@pytest.mark.parametrize(
    ("user", "root"),
    [
        ("", True),
        ("root", True),
        ("0", True),
        ("0:0", True),
        ("root:users", True),
        ("1000", False),
        ("app:root", False),
    ],
)
def test_who_a_container_runs_as(user: str, root: bool) -> None:
    found = judged(Setting(topic="image-user", name="User", value=user))
    assert found == ({"image-root-user": "low"} if root else {})


@pytest.mark.parametrize(
    ("port", "severity"),
    [
        ("8265", "medium"),
        ("8888/tcp", "medium"),
        ("2375/tcp", "medium"),
        ("11434", "medium"),
        ("6006/tcp", "info"),
        ("8500/tcp", "info"),
        ("8264-8265/tcp", "medium"),
        ("8081/tcp", "low"),
        ("8080/tcp", None),
        ("443/tcp", None),
        ("8888/udp", None),
        ("nonsense", None),
    ],
)
def test_ports_of_known_products(port: str, severity: str | None) -> None:
    found = judged(Setting(topic="exposed-port", name=port))
    assert found == ({"image-exposed-port": severity} if severity else {})


def test_a_shared_port_counts_when_the_command_tells_the_server() -> None:
    command = Setting(topic="image-command", name="Cmd", value="torchserve --start --model-store /models")
    assert judged(command, Setting(topic="exposed-port", name="8081/tcp")) == {"image-exposed-port": "medium"}
    assert judged(command, Setting(topic="exposed-port", name="8080/tcp")) == {"image-exposed-port": "info"}


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("DB_PASSWORD", True),
        ("OPENAI_API_KEY", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("GPG_KEY", False),
        ("PYTHON_SHA256", False),
        ("TOKENIZERS_PARALLELISM", False),
        ("PATH", False),
        ("DB_PASSWORD_FILE", False),
    ],
)
def test_variables_named_like_credentials(name: str, secret: bool) -> None:
    found = judged(Setting(topic="image-variable", name=name, value="20 characters"))
    assert found == ({"image-credential-variable": "medium"} if secret else {})
    assert not judged(Setting(topic="image-variable", name=name, value=""))


@pytest.mark.parametrize(
    ("step", "severity"),
    [
        ("RUN curl -fsSL https://x.io/install.sh | bash", "low"),
        ("RUN /bin/sh -c wget -qO- https://x.io/i | sudo sh -s", "low"),
        ('RUN bash -c "$(curl -fsSL https://x.io/i)"', "low"),
        ("RUN pip install --trusted-host pypi.corp -r r.txt", "medium"),
        ("RUN pip3 install --extra-index-url=http://pypi.corp/simple x", "medium"),
        ("RUN pip install --extra-index-url https://pypi.corp/simple x", "low"),
        ("RUN pip install torch --extra-index-url https://download.pytorch.org/whl/cpu", None),
        ("RUN pip install -r requirements.txt", None),
        ("ADD https://x.io/model.bin /models/ # buildkit", "low"),
        ("ADD file:0123456789 in / ", None),
        ("RUN chmod -R 777 /app", "low"),
        ("RUN chmod 0755 /app/run.sh", None),
        ("RUN apt-get update && apt-get install -y curl && curl -o x https://x.io/x && sha256sum -c x.sum", None),
        ("RUN apt-get install -y --allow-unauthenticated x", "medium"),
        ("RUN curl https://x.io/x.tar.gz | tar xz", None),
    ],
)
def test_steps_that_built_the_image(step: str, severity: str | None) -> None:
    found = judged(Setting(topic="image-history", name="step 1", value=step))
    assert found == ({"image-build-step": severity} if severity else {}), step


@pytest.mark.parametrize(
    ("command", "severity"),
    [
        ("jupyter lab --ip 0.0.0.0 --NotebookApp.token=''", "high"),
        ("jupyter lab --ServerApp.token= --no-browser", "high"),
        ("jupyter notebook --allow-root", "low"),
        ("start-notebook.py", None),
        ("uvicorn app:app --host 0.0.0.0", None),
        ("python -m vllm.entrypoints.openai.api_server --trust-remote-code", "medium"),
        ("torchserve --start --disable-token-auth", "medium"),
        ("tritonserver --model-repository=/models", None),
    ],
)
def test_commands_that_start_a_server(command: str, severity: str | None) -> None:
    found = judged(Setting(topic="image-command", name="Cmd", value=command))
    assert found == ({"image-open-server": severity} if severity else {}), command


def test_the_age_of_an_image() -> None:
    def on(day: str) -> dict[str, str]:
        return judged(Setting(topic="image-created", name="created", value=day))

    assert on("2019-05-01T10:00:00Z") == {"image-old": "low"}
    for day in (datetime.date.today().isoformat(), "1970-01-01T00:00:00Z", "0001-01-01", "nonsense"):
        assert on(day) == {}


def mode(path: str, bits: int, **more: object) -> FileMode:
    return FileMode(path=path, mode=bits, owner=0, **more)  # type: ignore[arg-type]


def test_permissions() -> None:
    assert judged(mode("/usr/bin/su", 0o4755)) == {"privileged-file": "info"}
    assert judged(mode("/usr/local/bin/backdoor", 0o4755)) == {"privileged-file": "medium"}
    assert judged(mode("/usr/bin/rare", 0o4755, package="rare")) == {"privileged-file": "low"}
    assert judged(mode("/usr/bin/su", 0o4757))["privileged-file"] == "high"
    assert judged(mode("/app", 0o777, directory=True)) == {"world-writable": "low"}
    assert judged(mode("/app/model.pkl", 0o666)) == {"world-writable": "low"}
    assert judged(mode("/tmp/x", 0o666)) == {}
