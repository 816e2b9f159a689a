"""The demo's text: every message of Django's interface beside its translation, and the standard library's docs."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = {"german": "de", "french": "fr", "spanish": "es"}
TEST_SHARE = 0.25

_MO_MAGIC = 0x950412DE
_MARKUP = re.compile(r"%\([^)]*\)[#0\- +]*[a-z]|%[a-z%]|\{[^}]*\}|<[^>]*>|&[a-z]+;")
_TWO_LETTERS = re.compile(r"[^\W\d_].*[^\W\d_]", re.DOTALL)
_DOCUMENTED = (
    "argparse", "asyncio.tasks", "calendar", "collections", "concurrent.futures._base", "configparser", "csv",
    "datetime", "decimal", "difflib", "email.message", "fractions", "functools", "gettext", "glob", "gzip",
    "heapq", "http.client", "imaplib", "inspect", "ipaddress", "logging", "mailbox", "numbers", "os", "pathlib",
    "pickle", "random", "shutil", "smtplib", "socket", "statistics", "string", "subprocess", "tarfile",
    "tempfile", "textwrap", "threading", "turtle", "typing", "unittest.case", "urllib.parse", "urllib.request",
    "uuid", "weakref", "zipfile",
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """One message of Django's interface, its translation, and the part of Django that shows it."""

    english: str
    translation: str
    section: str


@dataclass(frozen=True)
class Corpus:
    """One language's messages, parted so that an English message is on the same side in every language."""

    language: str
    train: tuple[Message, ...]
    test: tuple[Message, ...]


def load_corpus(language: str, root: Path | None = None) -> Corpus:
    """The messages Django ships in ``language`` (a key of LANGUAGES), read from ``root`` or the installed package."""
    messages = _read_messages(LANGUAGES[language], root or _package_root("django"))
    test = tuple(m for m in messages if is_held_out(m.english))
    train = tuple(m for m in messages if not is_held_out(m.english))
    return Corpus(language, train, test)


def is_held_out(english: str) -> bool:
    """Whether a message is only ever tested on: a function of the English text, so the same in every language."""
    digest = hashlib.sha256(english.casefold().encode()).digest()
    return int.from_bytes(digest[:4], "big") < TEST_SHARE * 2**32


def read_catalog(path: Path) -> list[tuple[str, str]]:
    """The (message, translation) pairs of a compiled gettext catalog, first plural form, contexts dropped."""
    raw = path.read_bytes()
    order = next((o for o in "<>" if struct.unpack_from(o + "I", raw)[0] == _MO_MAGIC), None)
    if order is None:
        raise ValueError(f"{path} is not a compiled gettext catalog")
    count, originals, translations = struct.unpack_from(order + "3I", raw, 8)

    def text(table: int, index: int) -> str:
        length, offset = struct.unpack_from(order + "2I", raw, table + 8 * index)
        return raw[offset : offset + length].decode("utf-8").split("\0")[0]

    pairs = ((text(originals, i), text(translations, i)) for i in range(count))
    return [(original.rpartition("\x04")[2], translation) for original, translation in pairs if original]


def plain(text: str) -> str:
    """A message as words: without placeholders and markup, which are the same in every language and give it away."""
    return " ".join(_MARKUP.sub(" ", text).split())


def load_docstrings() -> list[tuple[str, str]]:
    """(summary, next paragraph) of the standard library's functions and classes: English that nobody trains on."""
    pairs: dict[str, str] = {}
    for name in _DOCUMENTED:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(Path(spec.origin).read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                summary, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
                body = " ".join(rest.split("\n\n")[0].split())
                if len(summary) > 20 and len(body) > 40 and ">>>" not in body:
                    pairs.setdefault(" ".join(summary.split()), body)
    return sorted(pairs.items())


def _read_messages(code: str, root: Path) -> list[Message]:
    """Every distinct message of one language, in a stated order; ambiguous and untranslated ones are left out."""
    found: dict[str, Message] = {}
    taken: set[str] = set()
    for path in sorted(root.glob(f"**/locale/{code}/LC_MESSAGES/*.mo")):
        section = path.relative_to(root).parts[:-4][-1]
        for original, translated in read_catalog(path):
            english, translation = plain(original), plain(translated)
            key, other = english.casefold(), translation.casefold()
            if key == other or not (_TWO_LETTERS.search(english) and _TWO_LETTERS.search(translation)):
                continue
            if key not in found and other not in taken:
                found[key] = Message(english, translation, section)
                taken.add(other)
    return [found[key] for key in sorted(found)]


def _package_root(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the demo needs the package {name}: {sys.executable} -m pip install -e '.[demo]'")
    return Path(spec.origin).parent
