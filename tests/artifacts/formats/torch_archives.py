"""Archives as PyTorch writes them, built member by member."""

import io
import zipfile

EVIL = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."
"""A pickle that calls `os.system("id")`."""
TENSOR = (
    b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x03tQK\x00K\x03\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs."
)
"""A state dictionary with one tensor of three numbers in storage 0."""
_MODULE = (
    b"\x80\x02c__torch__\nNet\nq\x00)\x81q\x01}q\x02(X\x08\x00\x00\x00trainingq\x03\x88X\x16\x00\x00\x00"
    b"_is_full_backward_hookq\x04Nub."
)
_CLASS = """class Net(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  path : str
  _is_full_backward_hook : Optional[bool]
  def forward(self: __torch__.Net,
    x: Tensor,
    name: str) -> Tensor:
"""


def archive(members: dict[str, bytes], root: str = "model") -> bytes:
    """A zip with all members in one folder."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members.items():
            file.writestr(f"{root}/{name}" if root else name, data)
    return out.getvalue()


def checkpoint(pickle: bytes = TENSOR, root: str = "model", **others: bytes) -> bytes:
    """What `torch.save` writes."""
    members = {"data.pkl": pickle, "byteorder": b"little", "data/0": bytes(12), "version": b"3\n", **others}
    return archive({**members, ".data/serialization_id": b"0" * 40}, root)


def torchscript(*lines: str, **others: bytes) -> bytes:
    """What `torch.jit.save` writes for a module with these lines in its `forward`."""
    code = _CLASS + "".join(f"    {line}\n" for line in lines) + "    return x\n"
    members = {"data.pkl": _MODULE, "code/__torch__.py": code.encode(), "constants.pkl": b"\x80\x02).", **others}
    return archive({**members, "version": b"3\n"})
