"""The demo's text: catalogs are read right, and no held-out message is ever trained on."""

import struct

import pytest

from examples.demo import data


def catalog(pairs, order="<"):
    """A compiled gettext catalog, laid out as the GNU manual says, without a hash table."""
    texts = [[text.encode() for text in side] for side in zip(*pairs, strict=True)]
    start = 28 + 16 * len(pairs)
    tables, body = b"", b""
    for side in texts:
        for text in side:
            tables += struct.pack(order + "2I", len(text), start + len(body))
            body += text + b"\0"
    header = struct.pack(order + "7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return header + tables + body


PAIRS = [
    ("", "Content-Type: text/plain; charset=UTF-8\n"),
    ("Log in", "Anmelden"),
    ("abbrev. month\x04May", "Mai"),
    ("%d day\0%d days", "%d Tag\0%d Tage"),
]


@pytest.mark.parametrize("order", ["<", ">"])
def test_reads_a_catalog_of_either_byte_order(tmp_path, order):
    path = tmp_path / "django.mo"
    path.write_bytes(catalog(PAIRS, order))
    assert data.read_catalog(path) == [("Log in", "Anmelden"), ("May", "Mai"), ("%d day", "%d Tag")]


def test_refuses_a_file_that_is_no_catalog(tmp_path):
    path = tmp_path / "django.mo"
    path.write_bytes(b"msgid" * 10)
    with pytest.raises(ValueError, match=r"django\.mo is not a compiled gettext catalog"):
        data.read_catalog(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The %(name)s “%(obj)s” was added.", "The “ ” was added."),
        ("Please enter <b>%d</b> values", "Please enter values"),
        ("{count} of 100%% done", "of 100 done"),
        ("Save and continue", "Save and continue"),
    ],
)
def test_plain_drops_what_is_the_same_in_every_language(text, expected):
    assert data.plain(text) == expected


def site(root, language, pairs, section="contrib/admin"):
    folder = root / section / "locale" / language / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(catalog(pairs))


def test_leaves_out_untranslated_wordless_and_ambiguous_messages(tmp_path):
    pairs = [
        ("Yes", "Ja"),
        ("Status", "status"),
        ("%s", "%s!"),
        ("Log in", "Anmelden"),
        ("Sign in", "Anmelden"),
        ("log in", "Einloggen"),
    ]
    site(tmp_path, "de", pairs)
    corpus = data.load_corpus("german", tmp_path)
    assert {(m.english, m.translation, m.section) for m in corpus.train + corpus.test} == {
        ("Yes", "Ja", "admin"),
        ("Log in", "Anmelden", "admin"),
    }


def test_a_message_is_on_the_same_side_in_every_language(tmp_path):
    english = [f"Message number {word}" for word in ("one", "two", "six", "ten", "old", "new", "odd", "red", "big")]
    site(tmp_path, "de", [(text, text.replace("Message number", "Nachricht")) for text in english])
    site(tmp_path, "fr", [(text.upper(), text.replace("Message number", "Annonce")) for text in english])
    german, french = data.load_corpus("german", tmp_path), data.load_corpus("french", tmp_path)

    def side(messages):
        return {message.english.casefold() for message in messages}

    assert side(german.test) == side(french.test)
    assert side(german.train) == side(french.train)
    assert german.train
    assert german.test


def test_real_catalogs_share_no_message_between_training_and_test():
    pytest.importorskip("django", reason="the demo's text comes with Django")
    corpora = [data.load_corpus(language) for language in data.LANGUAGES]
    trained = {message.english.casefold() for corpus in corpora for message in corpus.train}
    tested = {message.english.casefold() for corpus in corpora for message in corpus.test}
    assert not trained & tested
    for corpus in corpora:
        assert len(corpus.train) > 400
        assert len(corpus.test) > 100


def test_docstrings_are_pairs_of_different_texts():
    pairs = data.load_docstrings()
    assert len(pairs) > 200
    assert pairs == sorted(pairs)
    assert all(summary and body and summary != body for summary, body in pairs)
