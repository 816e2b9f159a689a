"""Names that mislead are refused wherever a name is read: the alphabet is ASCII letters, digits, '.', '_' and '-'."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergestore import UsageError
from registry.records.names import MAX_LENGTH, parse_reference, validate_alias, validate_name

HOSTILE = {
    "NFC": "caf\u00e9",
    "NFD": unicodedata.normalize("NFD", "caf\u00e9"),
    "bidi": "math\u202etxt.exe",
    "isolate": "\u2066math\u2069",
    "zero width": "ma\u200bth",
    "joiner": "ma\u200dth",
    "byte order mark": "\ufeffmath",
    "emoji": "math\U0001f600",
    "full width": "\uff4d\uff41\uff54\uff48",
    "Cyrillic": "m\u0430th",
    "Kelvin": "\u212aelvin",
    "Arabic digits": "v\u0661",
    "surrogate": "math\ud800",
    "NUL": "math\x00",
    "newline": "math\n",
    "escape": "math\x1b[31m",
    "space": "math ",
    "backslash": "up\\math",
    "up": "../math",
    "absolute": "/math",
    "drive": "C:math",
    "twice parted": "a/b/c",
    "hidden": ".math",
    "long": "m" * (MAX_LENGTH + 1),
    "very long": "m" * 1_000_000,
    "empty": "",
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("read", [validate_name, validate_alias, parse_reference])
def test_a_name_that_misleads_is_refused(read, case):
    with pytest.raises(UsageError) as caught:
        read(HOSTILE[case])
    assert len(caught.value.message) < 1000


@given(text=st.text(max_size=12))
def test_what_is_let_through_is_plain(text):
    try:
        validate_name(text)
    except UsageError:
        return
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set('\\:*?"<>| ')
    assert all(part[:1].isalnum() for part in text.split("/"))
