"""Files like those of real repositories, and the bills that are made of them."""

import base64
import json
import struct
from collections.abc import Mapping

from garrison.core.facts import Examination
from garrison.core.report import Coverage, CoverageEntry, Item, Report
from garrison.describing import written
from tests.reporting import reports
from tests.support import examine_files


def safetensors(tensors: Mapping[str, tuple[str, list[int]]], metadata: Mapping[str, str] | None = None) -> bytes:
    """An honest file with these tensors, by type and shape, all zeros."""
    sizes = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1}
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (kind, shape) in tensors.items():
        start, count = end, 1
        for length in shape:
            count *= length
        end = start + count * sizes[kind]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def bundle(predicate: str = "https://model_signing/signature/v1.0", root: str = "ef" * 32) -> bytes:
    """A bundle of the form that signatures have, with a signature that is none."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "repo", "digest": {"sha256": root}}],
        "predicateType": predicate,
        "predicate": {},
    }
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    envelope = {"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AAAA"}]}
    document = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "x"}},
        "dsseEnvelope": envelope,
    }
    return json.dumps(document).encode()


CARD = b"""---
license: apache-2.0
language: [en, de]
library_name: transformers
pipeline_tag: text-generation
base_model: org/base-7b
base_model_relation: quantized
datasets:
- org/corpus
tags: [llama, 'arxiv:2307.09288', self-supervised]
co2_eq_emissions: {emissions: 12.5, source: codecarbon, hardware_used: 8 x H100}
model-index:
- name: tiny
  results:
  - task: {type: text-generation}
    dataset: {type: org/eval, name: Eval}
    metrics:
    - {type: accuracy, value: 0.71}
---
# Tiny
"""
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "torch_dtype": "float16",
    "num_hidden_layers": 2,
    "transformers_version": "4.44.0",
    "quantization_config": {"quant_method": "gptq", "bits": 4},
}
INDEX = {
    "metadata": {"total_size": 12288},
    "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
}
REPOSITORY = {
    "repo/README.md": CARD,
    "repo/config.json": json.dumps(CONFIG).encode(),
    "repo/tokenizer_config.json": b'{"tokenizer_class": "LlamaTokenizer"}',
    "repo/model.safetensors.index.json": json.dumps(INDEX).encode(),
    "repo/model-00001-of-00002.safetensors": safetensors({"a": ("F16", [64, 32])}, {"format": "pt"}),
    "repo/model-00002-of-00002.safetensors": safetensors({"b": ("F16", [64, 64])}, {"format": "pt"}),
    "repo/requirements.txt": b"transformers==4.44.0\ntorch>=2.2\n",
    "repo/model.sig": bundle(),
}
"""A repository as the Hugging Face Hub keeps them: a card, a configuration, an index, two shards, a signature."""


def report_of(files: Mapping[str, bytes]) -> Report:
    """The report of files, with digests that are none of them."""
    return report_on(examine_files(dict(files)), *files)


def report_on(examinations: list[Examination], *subjects: str) -> Report:
    """The report of what was examined."""
    import msgspec.structs

    gaps = [one for one in examinations if one.state != "examined"]
    return msgspec.structs.replace(
        reports.report(),
        subjects=subjects,
        inventory=tuple(
            Item(
                subject=one.subject,
                formats=tuple(one.formats),
                size=one.size if one.size >= 0 else None,
                sha256="ab" * 32 if "!/" not in one.subject else None,
                facts=tuple(one.facts),
            )
            for one in examinations
        ),
        coverage=Coverage(
            examined=len(examinations) - len(gaps),
            not_understood=0,
            failed=len(gaps),
            skipped=0,
            entries=tuple(CoverageEntry(subject=one.subject, state=one.state, reason=one.reason) for one in gaps),
        ),
    )


def bill_of(files: Mapping[str, bytes], format: str = "cyclonedx") -> str:
    """The bill of materials of files."""
    return written(report_of(files), format)
