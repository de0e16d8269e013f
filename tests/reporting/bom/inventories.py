"""Any inventory: whatever names, facts and texts hostile files bring about."""

from hypothesis import strategies as st

from garrison.core.facts import AnyFact, Artifact, Description, Link, Metric, Package, Reference, Requirement
from garrison.core.report import Coverage, CoverageEntry, Item, Report
from tests.reporting import reports

_ODD = """x,org/data,MIT,mit or apache-2.0,LicenseRef-x,GPL-2.0+,http://[,https://h/%zz?a#b#c,javascript:alert(1),LICENSE,
https://example.org/é x,pkg:pypi/x@1,2024-05-01T10:00:00Z,0001-01-01T00:00:00+14:00,supervised"""
TEXTS = st.one_of(st.sampled_from(["", "a" * 3000, reports.HOSTILE, *_ODD.split(",")]), st.text(max_size=20))
_LISTS = st.lists(TEXTS, max_size=3).map(tuple)
_TABLES = st.dictionaries(TEXTS, TEXTS, max_size=2)
_DESCRIPTIONS = st.builds(
    Description,
    about=st.sampled_from(["model", "data-set"]),
    **dict.fromkeys(("name", "version", "summary", "released", "task", "approach", "family", "architecture"), TEXTS),
    **dict.fromkeys(("authors", "licences", "quantisation", "inputs", "languages", "tags", "datasets"), _LISTS),
    **dict.fromkeys(("base_models", "content"), _LISTS),
    **dict.fromkeys(("frameworks", "settings", "emissions"), _TABLES),
    base_relation=TEXTS,
    parameters=st.none() | st.integers(0, 1 << 63),
    element_types=st.dictionaries(TEXTS, st.integers(0, 1 << 63), max_size=2),
    metrics=st.lists(st.builds(Metric, name=TEXTS, value=TEXTS, dataset=TEXTS, task=TEXTS), max_size=2).map(tuple),
    links=st.lists(
        st.builds(Link, role=st.sampled_from(["repository", "website", "paper", "licence"]), target=TEXTS), max_size=3
    ).map(tuple),
)
_HASHES = st.lists(
    st.sampled_from(["sha256:" + "a" * 64, "sha512:zz", "md5", "blake3:" + "B" * 64, "sha-1:" + "c" * 40])
)
_FACTS: st.SearchStrategy[AnyFact] = st.one_of(
    _DESCRIPTIONS,
    st.builds(
        Artifact,
        format=st.sampled_from(["transformers-config", "mlflow-model", "safetensors", "model-card", "json"]),
        details=st.dictionaries(TEXTS, TEXTS | st.integers() | st.booleans(), max_size=2),
    ),
    st.builds(
        Package,
        purl=st.sampled_from(["pkg:pypi/x@1", "pkg:pypi/y@2", ""]),
        ecosystem=st.just("pypi"),
        name=TEXTS,
        version=TEXTS,
        state=st.just("locked"),
        hashes=_HASHES.map(tuple),
        licences=_LISTS,
        dependencies=_LISTS,
        direct=st.sampled_from([None, True, False]),
    ),
    st.builds(Requirement, ecosystem=st.sampled_from(["pypi", "npm", "?"]), name=TEXTS, specifier=TEXTS),
    st.builds(Reference, target=st.sampled_from(["b", "../b", "a/c", "\0"]), role=st.just("external-data")),
)
_PATHS = """a b a/README.md a/config.json a/model_index.json a/b/c a/b a.zip a.zip!/m a.zip!/m!/n /x . a\\n a/model.sig
w-00001-of-00002.bin w-00002-of-00002.bin"""
_NAMES = st.sampled_from(["a\n", reports.HOSTILE, *_PATHS.split()])
_FORMATS = ["safetensors", "pickle", "zip", "json", "model-card", "raw-data", "cyclonedx-bom", "lfs-pointer", "?"]
_ITEMS = st.builds(
    Item,
    subject=_NAMES,
    formats=st.lists(st.sampled_from(_FORMATS), max_size=2, unique=True).map(tuple),
    size=st.none() | st.integers(0, 1 << 70),
    sha256=st.sampled_from([None, "ab" * 32]),
    facts=st.lists(_FACTS, max_size=3).map(tuple),
)


@st.composite
def any_report(draw: st.DrawFn) -> Report:
    """A report of any inventory, with any gaps."""
    import msgspec.structs

    items = draw(st.lists(_ITEMS, max_size=7))
    gaps = draw(st.lists(st.sampled_from([item.subject for item in items] or ["gone"]), max_size=2))
    state = draw(st.sampled_from(["failed", "partial", "not-understood", "skipped"]))
    return msgspec.structs.replace(
        reports.report(),
        inventory=tuple(items),
        coverage=Coverage(
            examined=len(items),
            not_understood=0,
            failed=len(gaps),
            skipped=0,
            interrupted=draw(st.booleans()),
            entries=tuple(CoverageEntry(subject=gap, state=state, reason=draw(TEXTS)) for gap in gaps),
        ),
    )
