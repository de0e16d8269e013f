"""Text that is a program for a shell or for Python, wherever it stands."""

import re

_PROGRAM = re.compile(
    r"__import__\s*\(|\bimport\s+(?:os|sys|subprocess|socket|pty|ctypes)\b|\bos\.(?:system|popen|exec)|\bsubprocess\.\w|"
    r"\b(?:exec|eval)\s*\(|/bin/(?:ba|z|da)?sh\b|\b(?:curl|wget)\s+\S*https?:|\brm\s+-rf?\s|\bnc\s+-\w*e\s|"
    r"/dev/tcp/|\bpowershell(?:\.exe)?\s+-|\bcmd(?:\.exe)?\s+/c\s|\bchmod\s+\+?[0-7x]+\s|\|\s*(?:ba)?sh\b",
    re.IGNORECASE,
)


def is_program_text(text: str) -> bool:
    """Whether it reads like commands; only its first 64 KiB are looked at."""
    return _PROGRAM.search(text[: 1 << 16]) is not None
