"""Databases of rpm, built byte by byte, and one that Berkeley DB's own loader wrote."""

import base64
import lzma
import sqlite3
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

LONG = "word " * 3000


def header(name: str, version: str = "1.0", release: str = "1", epoch: int | None = None, **more: str) -> bytes:
    """A header as rpm stores it, with a long text in it if `summary` says so."""
    texts = {1000: name, 1001: version, 1002: release, 1004: more.get("summary", "a package")}
    texts |= {1011: more.get("vendor", ""), 1014: "MIT", 1022: "x86_64"}
    texts |= {1044: more.get("source", f"{name}-{version}-{release}.src.rpm")}
    store = b""
    entries = []
    if epoch is not None:
        entries.append(struct.pack(">IIII", 1003, 4, 0, 1))
        store += epoch.to_bytes(4, "big")
    for tag, text in texts.items():
        entries.append(struct.pack(">IIII", tag, 6, len(store), 1))
        store += text.encode() + b"\0"
    return struct.pack(">II", len(entries), len(store)) + b"".join(entries) + store


HEADERS = (
    header("bash", "5.1.8", "9.el9", vendor="Rocky Enterprise Software Foundation"),
    header("openssl-libs", "3.0.7", "27.el9", 1, source="openssl-3.0.7-27.el9.src.rpm", summary=LONG),
    header("gpg-pubkey", "350d275d", "6279464b"),
    header("glibc", "2.34", "100.el9_4.2"),
)
EXPECTED = {("bash", "5.1.8-9.el9"), ("openssl-libs", "1:3.0.7-27.el9"), ("glibc", "2.34-100.el9_4.2")}


def sqlite(tmp_path: Path, headers: Sequence[bytes] = HEADERS, page: int = 4096) -> bytes:
    """As rpm's SQLite backend makes it."""
    path = tmp_path / f"made-{len(headers)}-{page}.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        f"PRAGMA page_size={page}; PRAGMA journal_mode=DELETE;"
        "CREATE TABLE IF NOT EXISTS 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL);"
        "CREATE TABLE IF NOT EXISTS 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL);"
    )
    connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(one,) for one in headers])
    connection.commit()
    connection.close()
    return path.read_bytes()


def ndb(headers: Sequence[bytes] = HEADERS) -> bytes:
    """As rpm's own backend makes it."""
    slots = [b"Slot" + bytes(12)] * 254
    blobs = b""
    for number, one in enumerate(headers, 1):
        length = -(-(28 + len(one)) // 16) * 16
        slots[number] = struct.pack("<4sIII", b"Slot", number, 256 + len(blobs) // 16, length // 16)
        body = struct.pack("<4sIII", b"BlbS", number, 7, len(one)) + one
        body += bytes(length - len(body) - 12)
        blobs += body + struct.pack("<II4s", zlib.adler32(body), len(one), b"BlbE")
    return struct.pack("<4sIIIIIII", b"RpmP", 0, 7, 1, len(headers) + 1, 0, 0, 0) + b"".join(slots) + blobs


def berkeley(headers: Sequence[bytes] = HEADERS, order: str = "<", page: int = 4096) -> bytes:
    """A hash as rpm's Berkeley DB backend makes it: small values in their page, big ones in pages of their own."""
    pages: list[bytes] = []
    items: list[bytes] = [b"\x01" + bytes(4), b"\x01" + struct.pack(f"{order}I", len(headers) + 1)]
    for number, one in enumerate(headers, 1):
        items.append(b"\x01" + struct.pack(f"{order}I", number))
        if len(one) < page // 4:
            items.append(b"\x01" + one)
            continue
        first = 2 + len(pages)
        parts = [one[at : at + page - 26] for at in range(0, len(one), page - 26)]
        for index, part in enumerate(parts):
            following = first + index + 1 if index + 1 < len(parts) else 0
            head = bytes(8) + struct.pack(f"{order}IIIHHBB", first + index, 0, following, 1, len(part), 0, 7)
            pages.append((head + part).ljust(page, b"\0"))
        items.append(b"\x03" + bytes(3) + struct.pack(f"{order}II", first, len(one)))
    body = bytearray(page)
    end = page
    starts = []
    for item in items:
        end -= len(item)
        body[end : end + len(item)] = item
        starts.append(end)
    body[:26] = bytes(8) + struct.pack(f"{order}IIIHHBB", 1, 0, 0, len(items), end, 0, 13)
    body[26 : 26 + 2 * len(starts)] = struct.pack(f"{order}{len(starts)}H", *starts)
    meta = bytes(8) + struct.pack(f"{order}IIII", 0, 0x061561, 9, page) + bytes((0, 8, 0, 0))
    meta += struct.pack(f"{order}III", 0, 1 + len(pages), 0)
    return meta.ljust(page, b"\0") + bytes(body) + b"".join(pages)


REAL_BERKELEY = lzma.decompress(
    base64.b85decode(
        "T>t=p0RR90|NsC0{{R4Jex4xl*O#%6m~;5AIwy@O!~Rp8bWBwm&6A2Q)90le8AohU9vf!l9%pu4lbepT<PB|%X+)MPNvtz42b^y%jiUt_"
        "Zo~HqY!R*>SX+&u&uv+oU%_NQ+h>v|@DNepJ+`oq*(no6uu2QAN?vg_SCOwb5SZd?mMiK`D3V;tkg7}9Z&64f{ICM^w^BDD<14!yGNg0!"
        ")C?t~t0H1Z*BEc`E<!tkh9T0JR?vT_C;SA%L0+>Z%4&b}-d!g7NWI{pLDBzz2rchNh^y{?Q{MJC-H>CSn)NXtalR}K?ToEgx>-!#s%9*D"
        "l_EAyFhT^LS@ILB#=O$cVSMIciRZMZ1hqH|El#lw@l<1E4@jNO6q^?IkW3T+x3;*SEjIBR1uw!;UDgBMN46>0W~S8Xu3Fcuo30fPdEH`x"
        "!Y!1<#)*lwh$|&uI-up~8&?HCN6ri9l5o<ptv+1vahH~qv=k?45S1Rmt(8e{ftH6vFYGv#1K7PiplJCUC%;iY@5y0JbMk>0IEiMDs*>FH"
        "wGmFQyOe8M1_f?qLm*k`?z4rION>7zN3>guvvRf6p=?hPk!%OuXK@geFOTbjJXUM%>KMa*-l3+`iv+&mS{vutv)Mx|$sX-8<ZVb?XZ2nk"
        "T|x4K0}aDp?0l_-={vzAV%Z;rnY8JrP>#xW+U~l?<ywWU%Sg8dke6S4;YfUE9(WJ3sqs>{LmV9lR2f35G-H7}&3!5w9>u_@u+UiNvb7M1"
        "Mp)&Yk+Xzv0k?8!=%>p7v-=d={VD23=(Q;9L1w_{;zgt)xC6<L?)M%zox(Do2oRDp8?oT3TVEtjzNIU1sSD&tA7^h;u!?g(HQe$R;V_yP"
        "2hgGIR}~UH5dc%LjeroX!{!|9PHTp(;)#Ba#X*s3U?xXm#lA_kCA@p%<xH7ga>|az41BjXtq9dqDKNTZ5q-EeQ@CMB5rx=k^{EtAcb|r3"
        "fNLAJMf~oA<+xx3bg6U0$w)t2V&Tu4pD3sOtPSNoWlP21DEf1J^-P5~Qw0kac%5K5D2uz)FM!+P%FeD!X4x1h6#09&;mX995Srp!z3&Qe"
        "C2aEgV@iE_^LVqrrgj@JtM{ICQrRTZaiSE6<@P6VGpSOcvO{1|QGS)J5=#xGE+E4sKE^Vp>HD6ny=-}1KwCXvox!GhkP32dF09_2cf}_E"
        "U_Le3D!!fF;Xqn4{qt`G+jefd04h1xfBv|jn`!3mZL}rtid|k}cGYk97lqJ0*cA}MY>J0SB-kC44~wR6uLyB~wD}ahPjOlrN{%OG_Z+j="
        "AXNS&=)kbD3ptu1FrT?8)HRU;J{4)wgn?&>Wc4^L;CXhB^Z*dv@}=VTF{Tg"
    )
)
"""What `db5.3_load` wrote with pages of 512 bytes, of the headers of two packages that `rpmbuild` made."""
