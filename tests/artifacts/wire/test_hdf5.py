import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.artifacts.wire.hdf5 import Attribute, Dataset, Dense, Item, Link, find_superblock, read
from garrison.core.errors import ExaminationError, Malformed
from garrison.sources.reader import BytesReader
from tests.artifacts.wire.hdf5_files import CONFIGURATION_SIZE, FILES, MODELS


def items(data: bytes) -> "list[Item]":
    return list(read(BytesReader(data), lambda: None))


@pytest.mark.parametrize("name", MODELS)
def test_attributes_and_datasets_are_found_in_every_layout(name: str) -> None:
    found = items(FILES[name])
    attributes = {(item.path, item.name): item.values for item in found if isinstance(item, Attribute)}
    assert len(attributes["/", "model_config"][0].ljust(CONFIGURATION_SIZE)) == CONFIGURATION_SIZE
    assert attributes["/", "keras_version"] == (b"2.15.0",)
    assert attributes["/model_weights/layer_1", "weight_names"] == (b"kernel:0",)
    datasets = {item.path: item for item in found if isinstance(item, Dataset)}
    assert datasets["/model_weights/layer_0/kernel:0"].layout == "contiguous"
    assert datasets["/model_weights/layer_0/kernel:0"].size == 12
    assert not any(isinstance(item, Dense) for item in found)


def test_dense_storage_is_followed_to_its_last_entry() -> None:
    names = {item.name for item in items(FILES["deep index"]) if isinstance(item, Attribute)}
    assert {f"attribute_{number}" for number in range(64)} <= names
    values = [i.values for i in items(FILES["huge attribute"]) if isinstance(i, Attribute) and i.name == "large"]
    assert values == [(b"x" * 70000,)]
    groups = {item.path for item in items(FILES["dense links"]) if isinstance(item, Dataset)}
    assert groups == {f"/model_weights/layer_{number}/kernel:0" for number in range(12)}


def test_raw_data_lies_where_it_is_said() -> None:
    data = FILES["pickles"]
    (dataset,) = [item for item in items(data) if isinstance(item, Dataset)]
    assert data[dataset.address : dataset.address + 4] == b"\x80\x04co"


def test_links_and_data_of_other_files_are_stated() -> None:
    found = items(FILES["external"])
    links = {(item.path, item.kind, item.target) for item in found if isinstance(item, Link)}
    assert links == {("/link", "external", "/etc/other.h5:/x"), ("/soft", "soft", "/a")}
    assert [item.external for item in found if isinstance(item, Dataset)] == [("/etc/passwd",)]
    dense = [item.target for item in items(FILES["dense external links"]) if isinstance(item, Link)]
    assert sorted(dense) == sorted(f"../other.h5:/x{number}" for number in range(12))


@pytest.mark.parametrize("name", ["virtual", "virtual, older"])
def test_virtual_datasets_name_their_sources(name: str) -> None:
    (dataset,) = [item for item in items(FILES[name]) if isinstance(item, Dataset)]
    assert dataset.layout == "virtual"
    assert set(dataset.external) == {"/etc/one.h5", "../two.h5"}


@pytest.mark.parametrize("block", [0, 512, 1024, 2048, 4096])
def test_the_superblock_is_found_behind_a_block_of_the_user(block: int) -> None:
    assert find_superblock(BytesReader(bytes(block) + FILES["oldest"])) == block
    assert find_superblock(BytesReader(b"\0" * 511 + FILES["oldest"])) is None


def test_what_has_no_superblock_is_malformed() -> None:
    for data in (b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(64), b"\x89HDF\r\n\x1a\n\x09" + bytes(64)):
        with pytest.raises(Malformed):
            items(data)


@pytest.mark.parametrize("name", FILES)
def test_a_file_torn_anywhere_is_malformed_or_read(name: str) -> None:
    data = FILES[name]
    for length in range(0, len(data), max(len(data) // 60, 1)):
        try:
            items(data[:length])
        except ExaminationError:
            continue


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(FILES)), st.data())
def test_flipped_bytes_end_in_items_or_in_a_finding(name: str, data: st.DataObject) -> None:
    sample = bytearray(FILES[name])
    used = [at for at, byte in enumerate(sample) if byte]
    for _ in range(data.draw(st.integers(1, 6))):
        sample[data.draw(st.sampled_from(used))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ExaminationError):
        items(bytes(sample))
