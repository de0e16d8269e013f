"""Jinja templates: what they reach, however the names are put together, held against Jinja's own sandbox."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from garrison.core.facts import Template
from tests.support import examine_bytes, facts_of, findings_of, worst

CHAT = """{%- if tools is defined and tools %}{{ '<tools>' ~ tools|tojson(indent=2) }}{%- endif %}
{%- set ns = namespace(system='', last=-1) %}
{%- macro show(message, name='x') %}{{ message['content']|trim }}{{ message.tool_calls[0].function.name }}{% endmacro %}
{%- for message in messages %}
{%- if message['role'] == 'system' %}{% set ns.system = ns.system + message.content %}
{%- elif message['role'] not in ['user', 'assistant'] %}{{ raise_exception('bad role ' + message['role']) }}
{%- else %}{{ '<|' + message['role'] + '|>' }}{{ show(message) }}
{{ message.content.split('</think>')[-1].lstrip('\\n') }}
{%- for key, value in message.arguments.items() %}{{ key }}={{ value }}{{ params[key] }}{% endfor %}
{%- for name in message.keys()|sort %}{{ message[name ~ '_text'] }}{% endfor %}{% endif %}
{%- generation %}{{ loop.index0 }}{% endgeneration %}
{% if loop.last and add_generation_prompt %}<|end|>{% break %}{% endif %}
{%- endfor %}{{ strftime_now('%Y-%m-%d') }}{{ cycler('a', 'b').next() }}
{{ messages|selectattr('role', 'equalto', 'x')|list }}"""


def test_an_ordinary_chat_template_has_no_finding() -> None:
    assert findings_of(CHAT.encode(), "chat_template.jinja") == []


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''['__cla' ~ 'ss__'] }}",
    "{{ ''['__cla' 'ss__'] }}",
    "{{ ''['__cla' + 'ss__'] }}",
    r"{{ ''['\x5f\x5fclass\x5f\x5f'] }}",
    r"{{ ''['\u005f\u005fclass\u005f\u005f'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('__ssalc__'|reverse) }}",
    "{{ ''|attr('__ssalc__'[::-1]) }}",
    "{{ ''|attr(['__cl', 'ass__']|join) }}",
    "{{ ''|attr('__'.join(['', 'class', ''])) }}",
    "{{ ''|attr('%s%s' % ('__cl', 'ass__')) }}",
    "{{ ''|attr('%sclass%s'|format('__', '__')) }}",
    "{{ ''|attr('%c%cclass%c%c'|format(95, 95, 95, 95)) }}",
    "{{ ''|attr('{0}class{0}'.format('__')) }}",
    "{{ ''|attr('__CLASS__'|lower) }}",
    "{{ ''|attr('__cXlass__'|replace('X', '')) }}",
    "{{ ''|attr('__class__,x'.split(',')[0]) }}",
    "{{ ''|attr({'a': '__class__'}['a']) }}",
    "{{ ''|attr({'a': '__class__'}.get('a')) }}",
    "{{ ''|attr(dict(__class__=1)|first) }}",
    "{{ ''|attr(dict(__cl=1, ass__=2)|join) }}",
    "{{ ''|attr(['__class__']|random) }}",
    "{{ ''|attr(x|default('__class__')) }}",
    "{{ ''|attr('__class__' if true else 'y') }}",
    "{{ ''|attr(true and '__class__') }}",
    "{{ ['']|map('attr', '__class__')|list }}",
    "{{ ['']|map(attribute='__class__')|list }}",
    "{{ ['']|selectattr('__class__')|list }}",
    "{{ ['']|rejectattr('__class__')|list }}",
    "{{ ['']|sort(attribute='__class__')|list }}",
    "{{ ['']|groupby('__class__')|list }}",
    "{{ ['']|map('a' ~ 'ttr', '__cla' ~ 'ss__')|list }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{x.__class__}'.format(x='') }}",
    "{% set a = '__cla' %}{% set b = a ~ 'ss__' %}{{ ''[b] }}",
    "{% set a, b = '__cla', 'ss__' %}{{ ''[a ~ b] }}",
    "{% set a %}__class__{% endset %}{{ ''[a] }}",
    "{% set a %}__{{ 'class' }}{% raw %}__{% endraw %}{% endset %}{{ ''|attr(a) }}",
    "{% with a = '__class__' %}{{ ''[a] }}{% endwith %}",
    "{% set ns = namespace(a='__cla') %}{% set ns.a = ns.a ~ 'ss__' %}{{ ''[ns.a] }}",
    "{% set n = namespace(a='') %}{% for c in ['__', 'cla', 'ss__'] %}{% set n.a = n.a ~ c %}{% endfor %}{{ ''[n.a] }}",
    "{% for c in ['__class__'] %}{{ ''[c] }}{% endfor %}",
    "{% for k, v in {'a': '__class__'}.items() %}{{ ''[v] }}{% endfor %}",
    "{% for k in messages %}{% set a = '__class__' %}{{ ''[a] }}{% endfor %}",
    "{% macro m(a) %}{{ ''[a] }}{% endmacro %}{{ m('__cla' ~ 'ss__') }}",
    "{% macro m() %}__class__{% endmacro %}{{ ''[m()] }}",
    "{% macro m(a, b='ss__') %}{{ ''|attr(a ~ b) }}{% endmacro %}{{ m('__cla') }}",
    "{% call x() %}{{ ''.__class__ }}{% endcall %}",
    "{% filter upper %}{{ ''.__class__ }}{% endfilter %}",
    "{% if a %}{% set x = '__class__' %}{% else %}{% set x = 'role' %}{% endif %}{{ ''[x] }}",
    "{% if true %}{% set x = '__class__' %}{% endif %}{{ ''[x] }}",
    "{% set x = '__class__' %}{% for y in [1] %}{% set x = 'role' %}{% endfor %}{{ ''[x] }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler['__init__'] }}",
    "{{ joiner|attr('__init__') }}",
    "{{ self.__init__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ raise_exception.__globals__ }}",
    "{{ (messages|first).__class__ }}",
    "{{ namespace.__init__ }}",
    "{{ lipsum|attr(messages[0].content) }}",
    "{{ lipsum[messages[0].content]('id') }}",
    "{{ (messages|map('attr', messages[0].content)|first)('id') }}",
    "{{ undefined_name._undefined_hint }}",
    "{% for x in [1] %}{{ loop._iterable }}{% endfor %}",
    "{{ messages.append.__self__ }}",
    "{{ x.gi_frame.f_globals }}",
    "{{ x.mro() }}",
    "{{ getattr(x, 'y') }}",
    "{{ a.b.c }}" * 3000 + "{{ ''.__class__ }}",
    "".join(f"{{{{ m.a{n} }}}}" for n in range(2000)) + "{{ ''.__class__ }}",
    "{% for a in x %}" * 12 + "{{ ''['__cla' ~ 'ss__'] }}" + "{% endfor %}" * 12,
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{{ m(n) }}{% endmacro %}" * 5 + "{{ m(1) }}{{ ''['__cla' ~ 'ss__'] }}",
    "{# import os #}\n{{ ''.__class__ }}",
    "import os\n{{ ''.__class__ }}",
    "{\"a\": 1}\n{{ ''.__class__ }}",
    "key: value\nother: value\n{{ ''.__class__ }}",
    "{{ ''.__class__ }}{% unknown tag %}",
]


@pytest.mark.parametrize("text", ESCAPES, ids=lambda text: text[:50])
def test_an_escape_is_found_however_it_is_written(text: str) -> None:
    found = findings_of(text.encode(), "chat_template.jinja")
    assert worst(found) in ("high", "critical")


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("{{ config.SECRET_KEY }}", "medium"),
        ("{{ config.items() }}", "medium"),
        ("{{ request.environ }}", "medium"),
        ("{% set config = {'SECRET_KEY': 1} %}{{ config.SECRET_KEY }}", "none"),
        ("{{ config.hidden_size }}", "none"),
        ("{% include '../../etc/passwd' %}", "medium"),
        ("{% include 'footer.jinja' %}", "low"),
        ("{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}", "medium"),
        ("{% for a in range(10**9) %}x{% endfor %}", "medium"),
        ("{{ 'a' * 1000000000 }}", "medium"),
        ("{{ 9 ** (9 ** 9) }}", "medium"),
        ("{% for a in range(10) %}{% for b in range(messages|length) %}x{% endfor %}{% endfor %}", "none"),
        ("{{ ' ' * 4 }}{{ 2 ** 10 }}", "none"),
        ("{% for %}", "info"),
        (" " * (5 << 20) + "{{ x }}", "medium"),
    ],
)
def test_what_else_templates_do(text: str, severity: str) -> None:
    assert worst(findings_of(text.encode(), "x.jinja")) == severity


def test_what_a_template_reaches_is_stated() -> None:
    text = "{% set a = 'con' ~ 'tent' %}{{ messages[0][a].strip() }}{{ config.x }}"
    fact = next(f for f in facts_of(text.encode(), "x.jinja") if type(f) is Template)
    assert fact.items == ("content",)
    assert fact.calls == ("messages.[].content.strip",)
    assert "config.x" in fact.paths


def test_documents_with_templates_inside_stay_what_they_are() -> None:
    assert examine_bytes(b'{"chat_template": "{% for x in y %}{% endfor %}"}', "t")[-1].formats == ["json"]
    assert examine_bytes(b"a: 1\nb: '{% for x in y %}{% endfor %}'\n", "t")[-1].formats == ["yaml"]
    assert examine_bytes(b"Hello {% for x in y %}{{ x }}{% endfor %}", "t")[-1].formats == ["jinja"]


@pytest.mark.parametrize(("name", "claimed"), [("README.md", False), ("docs/index.rst", False), ("prompt.md", True)])
def test_a_page_that_quotes_a_template_is_none(name: str, claimed: bool) -> None:
    text = b"# Attacks\n\n{% for x in y %}{{ ''.__class__.__mro__[1].__subclasses__() }}{% endfor %}\n"
    assert (examine_bytes(text, name)[-1].formats == ["jinja"]) is claimed
    assert (worst(findings_of(text, name)) in ("high", "critical")) is claimed


def _split(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.sets(st.integers(1, len(text) - 1), max_size=3)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@st.composite
def expressions(draw: st.DrawFn, text: str) -> str:
    """An expression whose value is the text, put together in some way."""
    parts = _split(draw, text)
    quoted = [
        draw(st.sampled_from([repr(part), "'" + "".join(f"\\x{ord(c):02x}" for c in part) + "'"])) for part in parts
    ]
    return draw(
        st.sampled_from(
            [
                " ~ ".join(quoted),
                "(" + " + ".join(quoted) + ")",
                f"[{', '.join(quoted)}]|join",
                f"''.join([{', '.join(quoted)}])",
                f"'{'%s' * len(quoted)}'|format({', '.join(quoted)})",
                f"'{'%s' * len(quoted)}' % ({', '.join(quoted)},)",
                f"'{'{}' * len(quoted)}'.format({', '.join(quoted)})",
                f"{text[::-1]!r}|reverse",
                f"{text[::-1]!r}[::-1]",
                f"{text.upper()!r}|lower",
                f"{text.replace('l', 'lZ')!r}|replace('Z', '')",
                f"dict([[{text!r}, 1]])|first",
                f"[['x', {text!r}]][0][1]",
                f"({' ~ '.join(quoted)})|trim|string",
                f"'a,{text},b'.split(',')[1]",
            ]
        )
    )


@st.composite
def templates(draw: st.DrawFn) -> str:
    """Templates that reach `__class__` of something; harmless, since nothing follows."""
    expression = draw(expressions("__class__"))
    owner = draw(
        st.sampled_from(["''", "messages", "messages[0]", "raise_exception", "lipsum", "cycler", "1", "tools"])
    )
    carried = draw(
        st.sampled_from(
            [
                ("", f"({expression})"),
                (f"{{% set v = {expression} %}}", "v"),
                (f"{{% set v %}}{{{{ {expression} }}}}{{% endset %}}", "v"),
                (f"{{% set n = namespace(v={expression}) %}}", "n.v"),
                (f"{{% macro m() %}}{{{{ {expression} }}}}{{% endmacro %}}", "m()|string"),
                (f"{{% set d = {{'k': {expression}}} %}}", "d.k"),
                (f"{{% if messages %}}{{% set v = {expression} %}}{{% endif %}}", "v"),
            ]
        )
    )
    before, name = carried
    reach = draw(
        st.sampled_from(
            [
                f"{owner}|attr({name})",
                f"[{owner}]|map('attr', {name})|list",
                f"[{owner}]|map(attribute={name})|list",
                f"({owner})[{name}]",
            ]
        )
    )
    loop = draw(st.booleans())
    body = f"{before}{{{{ ({reach}).x }}}}"
    return f"{{% for message in messages %}}{body}{{% endfor %}}" if loop else body


@given(templates())
def test_what_the_sandbox_refuses_is_high(text: str) -> None:
    sandbox = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    given = {"messages": [{"role": "user", "content": "x"}], "tools": [len], "raise_exception": lambda text: None}
    try:
        sandbox.from_string(text).render(given)
        refused = False
    except SecurityError:
        refused = True
    except TemplateError:
        refused = False
    named = "|attr" in text or "map(" in text
    if refused or named:
        assert worst(findings_of(text.encode(), "x.jinja")) in ("high", "critical"), text


@given(st.text(alphabet=st.sampled_from("{}%#'\"|.()[]~+-*/ \n_abx0129,=forinset"), max_size=60))
def test_any_text_ends_in_a_state(text: str) -> None:
    examination = examine_bytes(text.encode(), "x.jinja")[-1]
    assert examination.state != "failed", examination.reason


def test_a_template_that_exhausts_the_parser_is_not_called_examined() -> None:
    examination = examine_bytes(b"{{" + b"(" * 100_000 + b"}}", "a.jinja")[-1]
    assert examination.state == "partial" and "deep" in examination.reason


def test_c_that_is_filled_in_by_python_is_no_template_of_jinja() -> None:
    shim = b"// in a package's __init__.py\nPyMODINIT_FUNC PyInit_{name}(void)\n{{\n    if (!x) {{ return 0; }}\n}}\n"
    assert not findings_of(shim, "shim.tmpl")


def test_a_template_of_a_common_ending_is_judged_all_the_same() -> None:
    assert worst(findings_of(b"{{ ''.__class__.__mro__ }}", "chat.tmpl")) == "critical"
    assert worst(findings_of(b"{% odd %}{{ ''.__class__.__mro__ }}", "chat.tmpl")) == "critical"


def test_what_a_web_server_renders_has_the_server_s_objects() -> None:
    assert worst(findings_of(b"{% if a %}{{ request.META }}{% endif %}", "404.html")) == "low"
    assert worst(findings_of(b"{% if a %}{{ request.META }}{% endif %}", "chat.jinja")) == "medium"
