"""Data files: streamed line by line, the same each time, and what is wrong with them told by line."""

import hashlib

import pytest

from registry.collecting.examples import measure
from registry.collecting.tokens import Tokenizing
from storage.errors import Conflict, InputRefused, UsageError


def written(folder, content, name="data.jsonl"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_examples_are_the_first_so_many_lines_that_are_not_empty(tmp_path):
    content = '\n{"text": "one"}\n\n{"text": "two"}\n   \n{"text": "three"}\n\n'
    path = written(tmp_path, content)
    data = measure(path, 2)
    assert [(each.fields["text"], each.where) for each in data.read()] == [
        ("one", f"{path}, line 2"),
        ("two", f"{path}, line 4"),
    ]
    assert data.examples == 2
    assert data.digest == "sha256:" + hashlib.sha256(content.encode()).hexdigest()
    more = measure(path, 9)
    assert (more.examples, more.digest, len(list(more.read()))) == (3, data.digest, 3)
    assert sum(each.nbytes for each in more.read()) <= more.nbytes < len(content)


def test_plain_text_is_an_example_a_line(tmp_path):
    data = measure(written(tmp_path, b"\xef\xbb\xbfone\r\ntw\xc3\xb6\n", "data.txt"), 5)
    assert [each.fields for each in data.read()] == [{"text": "one"}, {"text": "twö"}]


def test_a_file_that_changes_meanwhile_is_refused(tmp_path):
    path = written(tmp_path, "one\ntwo\nthree\n", "data.txt")
    data = measure(path, 2)
    written(tmp_path, "one\ntwo\nother\n", "data.txt")
    assert len(list(data.read())) == 2  # what was used is the same
    written(tmp_path, "one\ntvo\nthree\n", "data.txt")
    with pytest.raises(Conflict, match="was changed while it was read"):
        list(data.read())
    written(tmp_path, "one\n", "data.txt")
    with pytest.raises(Conflict):
        list(data.read())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"text": "a"}\n{"text"\n', "line 2: not JSON"),
        ('{"text": "a"}\n[1]\n', "line 2: expected a JSON object"),
        (b'{"text": "a"}\n{"text": "\xff"}\n', "line 2: not UTF-8"),
        ("[" * 100_000 + "\n", "line 1: not JSON"),
    ],
)
def test_bad_lines_are_named(tmp_path, content, words):
    data = measure(written(tmp_path, content), 5)
    with pytest.raises(InputRefused, match=words):
        list(data.read())


def test_files_that_are_not_read(tmp_path):
    for name in ("data.csv", "data.jsonl.gz", "data"):
        with pytest.raises(UsageError, match="no data file"):
            measure(written(tmp_path, "x", name), 1)
    with pytest.raises(InputRefused, match="no such file"):
        measure(tmp_path / "absent.txt", 1)
    with pytest.raises(InputRefused, match="no example"):
        measure(written(tmp_path, "\n\n", "data.txt"), 1)
    with pytest.raises(InputRefused, match="longer than"):
        measure(written(tmp_path, b"x" * (1 << 24) + b"yy\n", "data.txt"), 1)
    folder = tmp_path / "folder.txt"
    folder.mkdir()
    with pytest.raises(InputRefused, match="not a regular file"):
        measure(folder, 1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"body": "a"}', "has the fields 'body', and not text, messages, prompt and completion, or input_ids"),
        ('{"text": "a"}', "no tokenizer"),
        ('{"input_ids": []}', "no tokens"),
        ('{"input_ids": [1, 9]}', "9 is no token of the model's 9"),
        ('{"input_ids": [1, -1]}', "-1 is no token"),
        ('{"input_ids": [1, 2.5]}', "2.5 is no token"),
        ('{"input_ids": [true]}', "True is no token"),
        ('{"input_ids": "1 2"}', "must be a list"),
    ],
)
def test_examples_without_tokens_are_refused(tmp_path, line, words):
    (example,) = measure(written(tmp_path, line + "\n"), 1).read()
    with pytest.raises(InputRefused, match=words):
        Tokenizing(None, 10, 9).tokens(example)


def test_ids_are_cut(tmp_path):
    (example,) = measure(written(tmp_path, '{"input_ids": [1, 2, 3], "label": 2}\n'), 1).read()
    found = Tokenizing(None, 2, 9).tokens(example)
    assert (found.ids, found.label, found.scored) == ([1, 2], 2, 0)


def test_a_field_that_is_named_is_the_only_one(tmp_path):
    (example,) = measure(written(tmp_path, '{"text": "a"}\n'), 1).read()
    with pytest.raises(InputRefused, match="and not body"):
        Tokenizing(None, 2, 9, "body").tokens(example)
