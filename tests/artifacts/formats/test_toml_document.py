"""TOML is walked as any document."""

from tests.support import examine_bytes, findings_of, worst


def test_toml_is_walked_as_any_document() -> None:
    assert findings_of(b'[model]\nname = "x"\n', "config.toml") == []
    assert worst(findings_of(b'[model]\n_target_ = "os.system"\n_args_ = ["id"]\n', "config.toml")) == "critical"
    assert worst(findings_of(b'title = "x"\n[a]\nchat_template = "{{ \'\'.__class__ }}"\n', "conf")) == "critical"
    assert examine_bytes(b"a = [", "x.toml")[-1].state == "partial"
