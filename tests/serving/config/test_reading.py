"""A configuration is read whole, with its mistakes named by their place."""

from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.serving.config.reading import digest, read


def written(folder: Path, text: str) -> str:
    path = folder / "guard.toml"
    path.write_text(text)
    return str(path)


def test_settings_come_from_tables(tmp_path: Path) -> None:
    config = read(written(tmp_path, '[listen]\nhttp = "127.0.0.1:9"\n[models.digits]\nbackend = "other"\n'))
    assert (config.listen.http, config.models["digits"].backend) == ("127.0.0.1:9", "other")


@pytest.mark.parametrize(
    "text, said",
    [
        ("[listen", "guard.toml: "),
        ("[lissten]", "unknown field `lissten`"),
        ("[listen]\nhttp = 1", r"Expected `str`, got `int` - at `\$\.listen\.http`"),
        ("[models.x]\nbackends = 'x'", r"unknown field `backends` - at `\$\.models"),
        ("listen = '\udcff'", "guard.toml: "),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "guard.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=said):
        read(str(path))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read(str(tmp_path / "none"))


def test_paths_begin_where_the_file_lies(tmp_path: Path) -> None:
    config = read(written(tmp_path, '[listen]\ncertificate = "tls/chain.pem"\nkey = "/etc/key.pem"\n'))
    assert config.listen.certificate == str(tmp_path / "tls/chain.pem")
    assert config.listen.key == "/etc/key.pem"
    assert config.listen.client_authorities == ""


def test_the_digest_is_of_the_settings(tmp_path: Path) -> None:
    one = digest(read(written(tmp_path, '[listen]\nhttp = "127.0.0.1:9"\ngrpc = "127.0.0.1:8"\n')))
    other = digest(read(written(tmp_path, "# words\nlisten = {grpc = '127.0.0.1:8', http = '127.0.0.1:9'}\n")))
    assert one == other
    assert one != digest(read(written(tmp_path, "")))


@pytest.mark.parametrize(
    "text, said",
    [
        ('[authenticate]\nkeys = "a\\u0000b"\n', "is no path"),
        (f"[listen]\nmax-body = {'9' * 5000}\n", "guard.toml: "),
        (f"x = {'[' * 5000}{']' * 5000}\n", "guard.toml: "),
    ],
)
def test_hostile_values_are_mistakes_like_others(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(written(tmp_path, text))
