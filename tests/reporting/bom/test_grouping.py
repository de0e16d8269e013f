"""Which files make up one model."""

import io
import json
import tarfile

import pytest

from garrison.describing import written
from garrison.reporting.bom.assembly import assemble
from garrison.reporting.bom.bill import Bill, Model
from tests.artifacts.formats import test_onnx, weights

from .trees import CARD, REPOSITORY, report_of, safetensors

NET = safetensors({"a": ("F32", [2])})
BERT = b'{"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 4}'
MLMODEL = b"flavors:\n  transformers: {transformers_version: 4.44.0}\nmlflow_version: 2.14.0\n"
INDEX = json.dumps({"weight_map": {"a": "part-one.safetensors", "b": "part-two.safetensors"}}).encode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"


def bill(files: dict[str, bytes]) -> Bill:
    return assemble(report_of(files))


def models(files: dict[str, bytes]) -> dict[str, Model]:
    return {model.key: model for model in bill(files).models if not model.named_only}


CASES = {
    "single files": ({"z/a.safetensors": NET, "z/b.safetensors": NET}, {"z/a.safetensors": 1, "z/b.safetensors": 1}),
    "shards without an index": (
        {"w-00001-of-00002.safetensors": NET, "w-00002-of-00002.safetensors": NET},
        {"w.safetensors": 2},
    ),
    "shards by an index": (
        {"m/x.index.json": INDEX, "m/part-one.safetensors": NET, "m/part-two.safetensors": NET},
        {"m/part-one.safetensors": 3},
    ),
    "a model with its external data": (
        {
            "o/net.onnx": test_onnx.model(test_onnx.graph(tensors=(test_onnx.external("net.data", offset="0"),))),
            "o/net.data": bytes(range(256)) * 8,
            "o/notes.md": b"# Notes",
        },
        {"o/net.onnx": 2},
    ),
    "a repository": (REPOSITORY, {"repo/": 8}),
    "a repository with a variant below it": (
        {"r/config.json": BERT, "r/model.safetensors": NET, "r/onnx/model.safetensors": NET},
        {"r/": 3},
    ),
    "a checkpoint in a repository": (
        {
            "r/config.json": BERT,
            "r/model.safetensors": NET,
            "r/checkpoint-5/config.json": BERT,
            "r/checkpoint-5/model.safetensors": NET,
        },
        {"r/": 2, "r/checkpoint-5/": 2},
    ),
    "a pipeline": (
        {
            "p/model_index.json": b'{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0"}',
            "p/unet/config.json": b'{"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.30.0"}',
            "p/unet/diffusion.safetensors": NET,
            "p/text_encoder/config.json": BERT,
            "p/text_encoder/model.safetensors": safetensors({"a": ("F32", [3])}),
        },
        {"p/": 5},
    ),
    "an MLflow model": (
        {"m/MLmodel": MLMODEL, "m/model/config.json": BERT, "m/model/model.safetensors": NET},
        {"m/": 3},
    ),
    "a card of a model whose weights are elsewhere": ({"c/README.md": CARD}, {"c/": 1}),
    "pointers to weights": ({"l/config.json": BERT, "l/model.safetensors": POINTER}, {"l/": 2}),
    "a configuration alone": ({"c/config.json": BERT}, {}),
    "a licence in the head of a document": ({"d/README.md": b"---\nlicense: mit\n---\n# A tool\n"}, {}),
    "a licence in the card of a single model": (
        {"d/README.md": b"---\nlicense: mit\n---\n# A net\n", "d/net.safetensors": NET},
        {"d/": 2},
    ),
    "a page with a card's head below another name": (
        {"docs/page.md": CARD, "docs/net.safetensors": NET},
        {"docs/net.safetensors": 1},
    ),
    "weights that are parts": ({"x/weights.bin": bytes(64)}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_models_and_the_number_of_their_files(case: str) -> None:
    files, expected = CASES[case]
    assert {key: len(model.files) for key, model in models(files).items()} == expected


def test_a_file_is_of_one_model_alone() -> None:
    for files, _ in CASES.values():
        owned = [one for model in models(files).values() for one in model.files]
        assert len(owned) == len(set(owned)) and set(owned) <= set(files)


def test_repositories_in_an_archive_are_found() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in REPOSITORY.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    found = models({"zoo.tar": packed.getvalue()})
    assert {key: len(model.files) for key, model in found.items()} == {"zoo.tar!/repo/": 8}
    assert found["zoo.tar!/repo/"].says.parameters == 6144


def test_parameters_of_parts_add_up_and_those_of_copies_do_not() -> None:
    (pipeline,) = models(CASES["a pipeline"][0]).values()
    assert pipeline.says.parameters == 5 and pipeline.says.architecture == "StableDiffusionPipeline"
    (variant,) = models(CASES["a repository with a variant below it"][0]).values()
    assert variant.says.parameters == 2 and variant.says.settings == {"hidden size": "4"}
    copies = {"r/config.json": BERT, "r/a.safetensors": NET, "r/b.safetensors": NET}
    assert models(copies)["r/"].says.parameters == 2
    others = {**copies, "r/b.safetensors": safetensors({"a": ("F32", [9])})}
    assert models(others)["r/"].says.parameters is None


def test_quantised_copies_are_one_model() -> None:
    first, second = weights.model().bytes(), weights.Gguf().entry("general.architecture", 8, "llama")
    second.entry("general.file_type", 4, 7).tensor("a.weight", [5, 3], 0, 0, 60)
    (found,) = models({"g/README.md": CARD, "g/q4.gguf": first, "g/q8.gguf": second.bytes()}).values()
    assert set(found.says.quantisation) == {"Q4_0", "Q8_0"} and found.says.parameters is None
    assert found.name == "tiny"


def test_a_data_set_has_its_files() -> None:
    card = b"---\npretty_name: Corpus\nlicense: cc-by-4.0\ntask_categories: [qa]\n---\n# Corpus\n"
    found = bill(
        {"d/README.md": card, "d/train.csv": b"a,b\n1,2\n", "m/README.md": CARD.replace(b"org/corpus", b"Corpus")}
    )
    corpus = next(one for one in found.datasets if not one.named_only)
    assert corpus.name == "Corpus" and corpus.files == ("d/README.md", "d/train.csv")
    (model,) = (one for one in found.models if not one.named_only)
    assert model.datasets == (corpus.key,)


def test_a_model_that_names_itself_as_its_base_is_not_its_own() -> None:
    card = b"---\nbase_model: r\npipeline_tag: x\n---\n"
    found = bill({"r/README.md": card})
    assert [(one.name, one.named_only, one.bases) for one in found.models] == [
        ("r", False, ("named r",)),
        ("r", True, ()),
    ]


def test_models_depend_on_the_packages_of_the_nearest_project() -> None:
    files = {
        "requirements.txt": b"outer==1\n",
        "a/net.safetensors": NET,
        "b/requirements.txt": b"inner==1\n",
        "b/deep/net.safetensors": NET,
    }
    found = models(files)
    assert found["a/net.safetensors"].packages == ("pypi outer ",)
    assert found["b/deep/net.safetensors"].packages == ("pypi inner ",)


def test_repositories_in_the_cache_of_the_hub_are_called_as_there() -> None:
    revision = "0123456789abcdef0123456789abcdef01234567"
    folder = f"hub/models--org--net/snapshots/{revision}"
    report = report_of({f"{folder}/README.md": CARD, f"{folder}/model.safetensors": NET})
    text = json.loads(written(report, "cyclonedx"))
    component = text["metadata"]["component"]
    assert component["name"] == "org/net" and component["version"] == revision
    assert component["purl"] == f"pkg:huggingface/org/net@{revision}"
    assert f"pkg:huggingface/org/net@{revision}" in written(report, "spdx")


def test_what_lies_deep_in_a_package_describes_it() -> None:
    manifest = json.dumps(
        {
            "fileFormatVersion": "1.0.0",
            "itemInfoEntries": {"A": {"path": "com.apple.CoreML/model.mlmodel", "name": "model.mlmodel"}},
            "rootModelIdentifier": "A",
        }
    ).encode()
    described = safetensors({"a": ("F32", [2])}, {"modelspec.title": "Deep", "modelspec.architecture": "unet"})
    files = {"n.mlpackage/Manifest.json": manifest, "n.mlpackage/Data/inner/net.safetensors": described}
    (found,) = models(files).values()
    assert found.key == "n.mlpackage/" and found.says.architecture == "unet" and found.name == "Deep"
