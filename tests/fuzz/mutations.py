"""Files changed as an attacker or a failing disk would: bytes, and with its structure known, what JSON says."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

TOKENS = (
    *("null", "true", "-1", "0", "1.5", "1e308", "-0.0", "NaN", "Infinity", "9223372036854775808", "9" * 5000),
    *('""', '"\\ud800"', '"\\u0000"', '"../../up"', '"/etc/passwd"', '"a\\\\b"', '"' + "x" * 3000 + '"', '"\\u202e"'),
    *("[]", "{}", "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, '{"a":1,"a":2}'),
)
"""What may stand in the place of any value: absurd numbers, texts that mislead, nesting without end, a key twice."""
_MARK = "mark-of-the-place"

Draw = Callable[..., Any]


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where values stand in a JSON document."""
    found = [path] if path else []
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            found += places(value, (*path, key))
    return found


def changed_json(draw: Draw, text: str) -> str:
    """A JSON text with a value replaced, taken away, or a key more."""
    document = json.loads(text)
    for _ in range(draw(st.integers(1, 2))):
        known = places(document)
        if not known:
            break
        *path, last = draw(st.sampled_from(known))
        parent = document
        for step in path:
            parent = parent[step]
        kind = draw(st.sampled_from(["token", "token", "delete", "more", "inside"]))
        if kind == "delete":
            del parent[last]
        elif kind == "more" and isinstance(parent, dict):
            parent[draw(st.text(max_size=5))] = 1
        elif kind == "inside" and isinstance(parent[last], str) and parent[last][:1] == "{":
            parent[last] = changed_json(draw, parent[last])
        else:
            parent[last] = _MARK
    written = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=draw(st.booleans()))
    return written.replace(f'"{_MARK}"', draw(st.sampled_from(TOKENS)))


def changed_bytes(draw: Draw, data: bytes) -> bytes:
    """Bits flipped, bytes cut, doubled, put in or made absurd lengths."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(found) - 1)))
        match draw(st.sampled_from(["flip", "cut", "end", "splice", "length", "insert"])):
            case "flip" if found:
                found[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del found[at : at + draw(st.integers(1, 64))]
            case "end":
                del found[at:]
            case "splice":
                source = draw(st.integers(0, len(data)))
                found[at:at] = data[source : source + draw(st.integers(1, 600))]
            case "length":
                number = draw(st.sampled_from([0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]))
                width = draw(st.sampled_from(["<I", "<Q"]))
                found[at : at + struct.calcsize(width)] = struct.pack(
                    width, number & (256 ** struct.calcsize(width) - 1)
                )
            case "insert":
                found[at:at] = draw(st.binary(min_size=1, max_size=30))
    return bytes(found)


def changed_safetensors(draw: Draw, data: bytes) -> bytes:
    """A safetensors file with other bytes, or another header of the right length."""
    if draw(st.booleans()):
        return changed_bytes(draw, data)
    size = int.from_bytes(data[:8], "little")
    header = changed_json(draw, data[8 : 8 + size].decode()).encode("utf-8", "surrogatepass")
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def changed_text(draw: Draw, data: bytes) -> bytes:
    """A JSON file with other bytes or other values."""
    if draw(st.booleans()):
        return changed_bytes(draw, data)
    return changed_json(draw, data.decode()).encode("utf-8", "surrogatepass")
