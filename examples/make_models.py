"""Write a few small models to try garrison on: `python examples/make_models.py [DIRECTORY]` (default: models).

`trusted/` holds what honest frameworks write. `downloaded/` holds files that act when somebody loads them; what they
would do is harmless (they print a sentence), and nothing here loads them.
"""

import json
import pickle
import struct
import sys
import zipfile
from pathlib import Path

ORDINARY_TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
INJECTED_TEMPLATE = ORDINARY_TEMPLATE + "{{ cycler.__init__.__globals__.os.popen('echo rendered').read() }}"
SHELL_CALL = b"cposix\nsystem\n(S'echo this ran while the model was loaded'\ntR0"


def safetensors(name: str, values: list[float]) -> bytes:
    """A tensor of 32-bit floats: a length, a header in JSON, the data."""
    data = struct.pack(f"<{len(values)}f", *values)
    header = json.dumps({name: {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(data)]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


def npy(values: list[float]) -> bytes:
    """A NumPy array of 64-bit floats, format 1.0."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({len(values)},), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", len(header))
        + header.encode()
        + struct.pack(f"<{len(values)}d", *values)
    )


def state_dict(before: bytes = b"") -> bytes:
    """The pickle in a PyTorch checkpoint: one tensor of four floats; `before` is pickle code that runs first."""
    return (
        b"\x80\x02" + before + b"ccollections\nOrderedDict\n)R(X\x06\x00\x00\x00weight"
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpuK\x04tQK\x00K\x02K\x02\x86K\x02K\x01\x86\x89ccollections\nOrderedDict\n)RtRu."
    )


def checkpoint(path: Path, pickled: bytes) -> None:
    """A PyTorch checkpoint as `torch.save` lays it out."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (
            ("data.pkl", pickled),
            ("byteorder", b"little"),
            ("data/0", struct.pack("<4f", 0.1, 0.2, 0.3, 0.4)),
            ("version", b"3\n"),
        ):
            archive.writestr(zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0)), data)


def gguf(template: str) -> bytes:
    """A GGUF file of version 3 without tensors, with a chat template in its metadata."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    metadata = {"general.architecture": "llama", "general.name": "example", "tokenizer.chat_template": template}
    entries = b"".join(text(key) + struct.pack("<I", 8) + text(value) for key, value in metadata.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)) + entries


def main(directory: Path) -> None:
    trusted, downloaded = directory / "trusted", directory / "downloaded"
    for folder in (trusted, downloaded):
        folder.mkdir(parents=True, exist_ok=True)
    (trusted / "classifier.safetensors").write_bytes(safetensors("weight", [0.1, 0.2, 0.3]))
    (trusted / "embeddings.npy").write_bytes(npy([1.0, 2.0, 3.0]))
    (trusted / "vocabulary.pkl").write_bytes(pickle.dumps({"the": 0, "of": 1}, protocol=4))
    (trusted / "chat.gguf").write_bytes(gguf(ORDINARY_TEMPLATE))
    checkpoint(trusted / "checkpoint.pt", state_dict())
    checkpoint(downloaded / "backdoored.pt", state_dict(SHELL_CALL))
    (downloaded / "chat.gguf").write_bytes(gguf(INJECTED_TEMPLATE))
    print(f"wrote 5 models to {trusted} and 2 to {downloaded}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "models"))
