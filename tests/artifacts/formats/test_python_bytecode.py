"""Compiled Python of every version is read without running it, by what it refers to, whichever Python runs garrison."""

import base64
import importlib.util
import marshal
import struct
import zlib
from types import CodeType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.artifacts.pickle.source_code import bytecode_names
from garrison.core.facts import Artifact, EmbeddedCode
from garrison.core.limits import Limits
from tests.support import examine_bytes, facts_of, findings_of, worst

SOURCE = """
import os, collections
def outer(x):
    class Inner:
        def run(self):
            return os.system(x)
    return Inner()
"""


def compiled(source: str, version: int = 4) -> bytes:
    return marshal.dumps(compile(source, "model.py", "exec"), version)


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b85decode("".join(text.split())))


def number(value: int) -> bytes:
    return struct.pack("<i", value)


def short(text: str) -> bytes:
    return b"z" + bytes([len(text)]) + text.encode()


def row(*items: bytes) -> bytes:
    return b")" + bytes([len(items)]) + b"".join(items)


def code(*names: str, consts: tuple[bytes, ...] = (b"N",), integers: int = 6) -> bytes:
    """A code object with the layout of Python 3.8 to 3.10."""
    named = row(*map(short, names))
    head = b"c" + number(0) * integers + b"s" + number(2) + b"S\0"
    return head + row(*consts) + named + row() * 3 + short("f.py") + short("f") + number(1) + b"s" + number(0)


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8", "3.10", "3.12", "3.13"])
def test_modules_of_every_layout(version: str) -> None:
    """Compiled by that version from `SOURCE`."""
    data = unpacked(MODULES[version])
    (examination,) = examine_bytes(data, "model.pyc")
    assert examination.formats == ["python-bytecode"] and examination.state == "examined"
    facts = facts_of(data)
    assert [fact.details["python"] for fact in facts if type(fact) is Artifact] == [version]
    (fact,) = [fact for fact in facts if type(fact) is EmbeddedCode]
    assert fact.trigger == "carried" and fact.names[0] == "os.system" and "collections" in fact.names


def test_a_compiled_module_runs_only_when_it_is_imported() -> None:
    head = importlib.util.MAGIC_NUMBER + bytes(12)
    assert worst(findings_of(head + compiled(SOURCE), "module.pyc")) == "low"
    assert findings_of(head + compiled("def f(x):\n    return x + 1"), "module.pyc") == []


def test_a_marshalled_code_object_is_code_that_is_used() -> None:
    found = findings_of(compiled(SOURCE))
    assert [(item.rule, str(item.severity)) for item in found] == [("dangerous-embedded-code", "critical")]
    assert "os.system" in found[0].message
    assert worst(findings_of(compiled("def f(x):\n    return x + 1"))) == "medium"
    assert worst(findings_of(marshal.dumps({"f": compile(SOURCE, "f", "exec"), "weights": [1.5] * 9}))) == "critical"


@pytest.mark.parametrize("version", range(5))
def test_marshalled_numbers_are_data(version: int) -> None:
    data = marshal.dumps({"d": {"good": [1, 2.5, None, True, ..., "é" * 300, b"\0"], ("a", 1j): 1 << 90}}, version)
    (examination,) = examine_bytes(data, "sentiment.marshal")
    assert examination.formats == ["marshal"] and examination.state == "examined"
    assert findings_of(data, "sentiment.marshal") == []


def test_other_bytes_are_not_marshal() -> None:
    for data in (
        b'{"a": [1, 2]}',
        b"(dp0\n.",
        b"[section]\nkey=1\n",
        b"[\0\0\0\0",
        b"{0\0\0\0\0\0\0\0\0\0",
        b"c\0\0\0" * 9,
    ):
        assert "marshal" not in {name for one in examine_bytes(data) for name in one.formats}
    data = marshal.dumps({"a": [1, 2, 3]})
    assert examine_bytes(data + b"\0")[-1].formats != ["marshal"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os\nos.popen('id')", "critical"),
        ("from os import system\nsystem('id')", "critical"),
        ("__import__('os').system('id')", "critical"),
        ("getattr(__import__('o' + 's'), x)", "critical"),
        ("import os\nf = getattr(os, x)\nf(1)", "critical"),
        ("import subprocess\nsubprocess.run('id')", "critical"),
        ("exec(x)", "critical"),
        ("().__class__.__base__.__subclasses__()", "critical"),
        ("import urllib.request\nurllib.request.urlopen(x)", "critical"),
        ("import pickle\npickle.loads(x)", "critical"),
        ("import shutil\nshutil.rmtree(x)", "critical"),
        ("import os\nos.path.join('a', 'b')", "medium"),
        ("class A:\n    def __init__(self, input):\n        super().__init__()\n        self.x = input", "medium"),
        ("import re\nre.compile('x')", "medium"),
        ("def f(system, popen):\n    return system + popen", "medium"),
        ("x['input'], x['open'], x['code']", "medium"),
    ],
)
def test_what_code_refers_to(source: str, expected: str) -> None:
    assert worst(findings_of(compiled(source))) == expected


def test_names_do_not_depend_on_the_python_that_reads() -> None:
    inner = code("os", "system")
    for data in (code("f", consts=(inner,)), inner, code("os", "system", integers=5)):
        assert bytecode_names(data)[0] == "os.system"
    assert bytecode_names(code("x")[:-9] + b"\xff" * 9)[0] == "x"  # damaged: picked out of the bytes


def test_names_stand_behind_references() -> None:
    flagged = b"\xe3" + code("x")[1:]
    names = row(b"\xda" + short("os")[1:], b"\xda" + short("system")[1:])
    again = b"c" + number(0) * 6 + b"s" + number(0) + row() + b"r" + number(1) + row() * 3 + short("") * 2
    data = row(flagged, b"\xa9" + names[1:], again + number(1) + b"s" + number(0))
    assert "os.system" in bytecode_names(data)


def test_what_follows_is_stated() -> None:
    head = importlib.util.MAGIC_NUMBER + bytes(12)
    assert {item.rule for item in findings_of(head + compiled("x = 1") + b"\0more", "module.pyc")} == {"trailing-data"}


def test_truncation_at_every_length() -> None:
    data = importlib.util.MAGIC_NUMBER + bytes(12) + compiled(SOURCE)
    for length in range(len(data)):
        for examination in examine_bytes(data[:length], "module.pyc"):
            assert "reader failed" not in examination.reason


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_any_bytes_are_read_or_refused(position: int, noise: bytes) -> None:
    data = bytearray(importlib.util.MAGIC_NUMBER + bytes(12) + compiled(SOURCE))
    at = 16 + position % (len(data) - 16)
    data[at : at + len(noise)] = noise
    for examination in examine_bytes(bytes(data), limits=Limits(seconds=5)):
        assert "reader failed" not in examination.reason
    assert isinstance(bytecode_names(bytes(data[16:])), tuple)


def test_nesting_is_bounded() -> None:
    assert bytecode_names(b")\1" * 50_000 + b"N") == ()
    assert isinstance(compile("1", "", "eval"), CodeType)
    deep = importlib.util.MAGIC_NUMBER + bytes(12) + code("x", consts=(b")\1" * 5000 + b"N",))
    assert {item.rule for item in findings_of(deep, "module.pyc")} == {"malformed"}


MODULES = {
    "2.7": """
        c-n1HJxjzu5Ph5Ej^pGi3$?pONaZgOu@Y=jY$~q_lI+20J|sH<542L$ziRCd(3wecoanOi*x7ya=FNs*i}}^(<UYr+0**@#f67qs
        HYkDB?rg9!C<46lWgs_c95QqB%`3^xpb&A$wO>NZiV*L>S}Wgx7vSdE;K|4-jfI`igz>trUHi+6gg;_%kj{e&M1}j?G?tdyckF#A
        6$=Ie?hHP-ow$_eBo+b*G@hnH+<J1AK9bn*u3Yz-z+)^nyb{~|>|skXRNK|!)r$;_j!!d&EURxTmt{29q-u(;<kSjTg;dx^W4fnn
        F?^bePEAi&2*w(VzdHNYq)pS2YxUzJHFpxKJ*yKP$WJw8>2lgMwYRgK9{#bUBc1m{Tm+-FWAg);icc8
        """,
    "3.6": """
        c-n1Hy-ve05WcgM5S3O!z|esg$dZM%s+d45S=h2zRqRTDn}D52w1NS(61)np<dvzfz{ELeOF>w=?=1QIlg|f(-sL*He+7U~*gK5o
        g2tW^NRX%@?>6QrndB?TnZz4Ng0<&o1@0*W8t&CYf-87~DN0hUV#${51)p&Vq~uw#AIUen6)B(?iujS{Tyh_`IIWsmnRKM9VxsLh
        y)H{-cJa8WaN?bM1U1~@J1l)w%o65UWnE<FwpOzQU0{`-(#EF`_=>D4(ucX@rYS?OXRYI6_+Mg5q$~+sEJQh(DIr`>h*>2Y?eBdd
        9-E2oUQA3jCL&1CgxkA0AaG%87HrdEH2oc!b>#kEbth~~wZ9y+HIKO&coH|>$Q>4y)~cv)tJ1a)U1;<>J|1<I$86i+2)_XpG-ne
        """,
    "3.8": """
        c-n1Hy-ve05cb(g8wx=P7&`C*S@Hx`#ROu>g1Tg}s@RnfZUS~9(Fz9CO7Ivk_LaOc^%a;nJ1wXcC*6;9_x;$TIPMXQt95w)iv5f1
        1;xC?G#6L|5uixkcE~|c!ImVa0&YnXtlfQ9z#cllWR9Va<(j;a2?#_kBS9DR1)gC+5Y4h;Uz%;Y2TFo+DD?-=nP5(KeqJ@T)agJ~
        #aNkPdQ+BC@7RD1+nHl?@2$xPypvC78?uC2S{d6hGgHfH0yZ#GO;%vxX+^#}Mi=SB%rf1Sp~F+pIPd?bn&MHG1UBNl98V?Zw#WIj
        5{+{65$BK1ShX8{fHb=6O87fPSZwI2f~{5rI^G^6RCnAQ?_yh+H{^dh@D@**K6V(U9gRIKDy3vm-&LjYi<Y3fD;^D6yF<FwKY<_O
        =x4?
        """,
    "3.10": """
        c-n1Hy-ve05cb(g8cKsIVCcXLWXTg$6%&Xh3tJW|ic<;U#$YEBtzbZ{1djn@U&$*|Ux5i<(t=uH>ApM3_x;!^iu%NztBrsE>iQQs
        IMmgpD|6vM5CM{8U55+=6>LQ^D&UsH-Uj#60uI=oD~1Xq2iN3{OhGv2Dim}{U*H**#Iadg99pw&Z;2&wcFyXLo-x7Dc5$wny41;7
        sv?(WlH62PsrO>QR_zSc@VzzpfOqnVu_2AArOMdA%uQX+Vz8bm<#Y`ep4Q|$FuF({=9cNE@{x~k>ce96pKIcl(%7>h=T$x{Ik$bz
        XG$~@=K<%BO)k3|edKg>55fPPLI>7wrSRJfLP&<7quokOb%1lU&+dqAB(@`-LcsJ1a+t=@_P9_|mPLK1D$`zc0=<3vaNGr+z)olg
        1NZ@@=4cQ
        """,
    "3.12": """
        c-n1Ize~eV5Wah9YVD7q)|TR8*EnRALUB}F3gXr!mLvr=P4vAMtSD3{s5ps8{THNvii>k_bC7OI5v7y&USp})gM63c?)&b`<tdX%
        0>$P~KfIv)3Nyi?JX#^>g98qFP@80|p~HGmV;wZKp`5DPIKz$6qe<=>!6mU7Y{3;Y(7|59VS`Bf92uP9AR_I8p;hg<7K#M-*asJA
        F|GZTs%af&XyfIe-Ez5E@dCT<i4Akx_g((SkTjE%N@k?gnsyHu{EKTG;M5dW4HmLMgmKXkEw@QkOt@Yn#1kR8rS3Q`xNRPFLXEfm
        )8afgCUtZg7FmMtF1+OO{qk-3Vdt*$oL(KN6B@BFVOf5?=~`Bpw5(>}v_1KrwyfiJ-J5iHnr02;^3MtBvddG1p|19DJvzTg$VEN)
        WVl%387jD3{RjqAR8=Yed!<M~`R2LkT%s^>`o)-D8Ueva9MajF^=?(k85&=Zw3Hoqo@=-E179dIUy`6UO5JgyGWn1Vo~Kee7P9%S
        A>tbpMl6OoHU0zBw}WW
        """,
    "3.13": """
        c-n1IL2J}d5T1ESmbKlbmTlL%moAH!fGi$dq_FH!5Fwzkr;4vJrX`w9bY2$hZF}+JO)2^p`fqxEc=I58tE|u-JMV2;TI@i+$$K;3
        H{T@lW^)NRp3b}vhn#=IwGdUFcNmT!gb<$tEiw{@q5~xM(RXI1D~RzL*X74C+=mQrn7si#*oMa#Vh7&WLouk-bKJ%r3@X|K@SPyO
        )kKeBgh%iicr*_VksK>1j3Bw8L*BmYdwQ*ylnM2RSrJE>8ug#$c|tQ|=!Qe%u4RNDRl+-0rI!N!iypkf0baSpz!zE+O4rnZDw8pv
        T$N;d8b2$;?oPQvasT6ic4(68joVE1x#DrNT4gw&!mrl)kF9T8KVN(wo-{V+X4EkReofb<%%gE4rCyS9T)dlP=Di{1r%9Aml@%%X
        Qc`7>=1E>iNlm8fbtzRDm1!)avZVAayHHa4NXurf*=I@()96`8<W>Jp8TR=XI1_lMdkPG+!Z*}5aF@XsR>EG`jd#11klmE-Ri9Y3
        7rUJa;dTE3!`~V-R=+-(23FB`sBUP>agk+7T&6{?EZI(347IxT;bQR--RC1-dOURy@ej1;!o`+tzW}=plj;
        """,
}
