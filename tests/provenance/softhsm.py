"""A token of SoftHSM, for tests that it is there for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
LIBRARY = next(filter(os.path.exists, LIBRARIES), "")
PIN = "1234"

needed = pytest.mark.skipif(not (LIBRARY and shutil.which("softhsm2-util")), reason="SoftHSM is not installed")


class SoftToken:
    """A token called `models` in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "tokens").mkdir()
        (directory / "softhsm2.conf").write_text(f"directories.tokendir = {directory}/tokens\n")
        os.environ["SOFTHSM2_CONF"] = str(directory / "softhsm2.conf")
        import pkcs11

        pkcs11.unload(LIBRARY)  # it reads its configuration only when it is loaded
        self._run("--init-token", "--free", "--label", "models", "--so-pin", "5678")

    def add(self, key: object, label: str, number: str) -> None:
        """Put a key's halves in, under a name and an id in hexadecimal."""
        path = self._directory / "key.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))  # type: ignore[attr-defined]
        self._run("--import", str(path), "--token", "models", "--label", label, "--id", number)
        path.unlink()

    def generate(self, label: str, *, derive: bool, curve: str = "secp256r1") -> None:
        """Have the token make a key, which may derive secrets or not."""
        import pkcs11
        from pkcs11.util.ec import encode_named_curve_parameters

        uses = pkcs11.MechanismFlag.DERIVE if derive else pkcs11.MechanismFlag.SIGN
        with pkcs11.lib(LIBRARY).get_token(token_label="models").open(user_pin=PIN, rw=True) as session:
            named = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
            domain = session.create_domain_parameters(pkcs11.KeyType.EC, named, local=True)
            domain.generate_keypair(store=True, label=label, capabilities=uses)

    @staticmethod
    def uri(more: str = "", *, path: str = "token=models", library: str = LIBRARY) -> str:
        return f"pkcs11:{path}{more}?module-path={library}"

    @staticmethod
    def _run(*arguments: str) -> None:
        subprocess.run(["softhsm2-util", *arguments, "--pin", PIN], check=True, capture_output=True)
