"""Names in libraries for Windows are those of object files when they were built; elsewhere they are paths."""

from tests.support import findings_of, worst


def member(name: bytes, data: bytes) -> bytes:
    return name.ljust(16) + b"0".ljust(32) + str(len(data)).encode().ljust(10) + b"`\n" + data + b"\n" * (len(data) % 2)


LONG = b"..\\..\\build\\a.obj\0..\\x64\\b.obj\0"


def test_object_files_of_a_library_for_windows_are_no_paths() -> None:
    library = (
        b"!<arch>\n"
        + member(b"/", b"\0\0\0\0") * 2
        + member(b"//", LONG)
        + member(b"/0", b"text")
        + member(b"/18", b"x")
    )
    assert worst(findings_of(library, "ffi.lib")) in ("none", "info", "low")


def test_a_member_of_another_archive_that_climbs_out_is_high() -> None:
    archive = b"!<arch>\n" + member(b"/", b"\0\0\0\0") + member(b"//", b"../../evil/\n") + member(b"/0", b"text")
    assert worst(findings_of(archive, "a.deb")) == "high"
