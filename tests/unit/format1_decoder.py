"""A decoder of delta files written from docs/format.md alone: it imports nothing of mergestore.

It is slow and plain on purpose. Where it needed something that the page did not say, the page was completed.
"""

import hashlib
import json
import math
import struct

import numpy as np
import zstandard
from blake3 import blake3

ITEMSIZE = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2} | {
    "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "C64": 8
}  # fmt: skip
PATTERN = {"F32": "<u4", "F16": "<u2", "BF16": "<u2"}  # the dtypes that merge, and how their patterns are read
CHUNK = 1 << 20
FULL = 65536


class Refused(Exception):
    """The file breaks a rule of the format."""


# 2 Basics


def widen(bits, dtype):
    if dtype == "F32":
        return bits.astype("<u4").view("<f4").astype(np.float32)
    if dtype == "F16":
        return bits.astype("<u2").view("<f2").astype(np.float32)
    return (bits.astype("<u4") << 16).view("<f4").astype(np.float32)


def narrow(values, dtype):
    if dtype == "F32":
        return values.astype("<f4").view("<u4")
    if dtype == "F16":
        with np.errstate(over="ignore", under="ignore"):
            return values.astype("<f2").view("<u2")
    b = values.astype("<f4").view("<u4").astype(np.uint64)
    return ((b + 0x7FFF + ((b >> 16) & 1)) >> 16).astype("<u2")


def convert(bits, dtype, target):
    return bits if dtype == target else narrow(widen(bits, dtype), target)


def canonical(value):
    """RFC 8785, for what manifests and recipes hold."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return _number(float(value))
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{canonical(value[key])}" for key in keys) + "}"


def _number(value):
    """ECMAScript's spelling: the shortest digits that read back as the same fp64."""
    if value == 0:
        return "0"
    if value < 0:
        return "-" + _number(-value)
    mantissa, exponent = repr(value), 0
    if "e" in mantissa:
        mantissa, _, power = mantissa.partition("e")
        exponent = int(power)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + exponent - (len(whole + fraction) - len(digits))  # the value is 0.digits × 10^point
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    rest = "." + digits[1:] if len(digits) > 1 else ""
    return f"{digits[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def blake3_digest(data):
    return "blake3:" + blake3(data).hexdigest()


def recipe_digest(recipe):
    return "sha256:" + hashlib.sha256(canonical(recipe).encode()).hexdigest()


def files_digest(files):
    """Of {path: bytes}."""
    rows = sorted([path, blake3_digest(data)] for path, data in files.items())
    return "sha256:" + hashlib.sha256(canonical(rows).encode()).hexdigest()


def model_digest(tensors):
    """Of {name: (dtype, shape, tensor digest)}."""
    return blake3_digest(canonical([[name, d, list(s), h] for name, (d, s, h) in sorted(tensors.items())]).encode())


# 3.1 Container


def _unique(pairs):
    if len(dict(pairs)) < len(pairs):
        raise Refused("a key is given twice")
    return dict(pairs)


def read_safetensors(data):
    """({name: (dtype, shape, raw bytes)}, metadata) of a file's bytes."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > 100_000_000 or 8 + size > len(data):
        raise Refused("the header does not fit")
    header = json.loads(data[8 : 8 + size].decode(), object_pairs_hook=_unique)
    metadata = header.pop("__metadata__", {})
    tensors, position, body = {}, 0, data[8 + size :]
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        if begin != position or end - begin != math.prod(entry["shape"]) * ITEMSIZE[entry["dtype"]]:
            raise Refused(f"{name}: offsets")
        tensors[name] = (entry["dtype"], tuple(entry["shape"]), body[begin:end])
        position = end
    if position != len(body):
        raise Refused("bytes that belong to no tensor")
    return tensors, metadata


# 4 Masks


def mask_key(seed, digest, name):
    message = b"mergestore/dare-mask/1\x00" + struct.pack("<Q", seed)
    message += bytes.fromhex(digest.partition(":")[2]) + name.encode()
    return int.from_bytes(hashlib.sha256(message).digest()[:8], "little")


def philox(counters, key):
    """The four words of each counter, in Python integers and numpy's 64-bit ones."""
    low = np.uint64(0xFFFFFFFF)
    c = [counters & low, counters >> np.uint64(32), np.zeros_like(counters), np.zeros_like(counters)]
    k0, k1 = key % 2**32, key >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            p1 & low,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            p0 & low,
        ]
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack(c, axis=1)


def lanes(key, start, count):
    """The 16-bit lanes of elements [start, start + count); start is a multiple of 8."""
    counters = np.arange(start // 8, -(-(start + count) // 8), dtype=np.uint64)
    words = philox(counters, key)
    return np.stack([words & np.uint64(0xFFFF), words >> np.uint64(16)], axis=2).reshape(-1)[:count]


def keep(key, threshold, start, count):
    return np.ones(count, bool) if threshold == FULL else lanes(key, start, count) < threshold


# 3.5 and 3.6 Frame content, delta values


def join_planes(data, itemsize):
    planes = np.frombuffer(data, np.uint8).reshape(itemsize, -1)
    joined = np.zeros(planes.shape[1], np.uint64)
    for plane in planes:
        joined = (joined << np.uint64(8)) | plane
    return joined.astype(f"<u{itemsize}")


def decode_int4(data, count):
    codes = np.frombuffer(data[: -(-count // 2)], np.uint8)
    nibbles = np.stack([codes & 15, codes >> 4], axis=1).reshape(-1)[:count].astype(np.int32)
    signed = np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.float32)
    scales = widen(join_planes(data[-(-count // 2) :], 2), "BF16")
    return signed * np.repeat(scales, 128)[:count]


def decode_sign(data, count):
    signs, places = np.frombuffer(data[: -(-count // 8)], np.uint8), np.arange(count)
    scales = np.repeat(widen(join_planes(data[-(-count // 8) :], 2), "BF16"), 256)[:count]
    return np.where((signs[places // 8] >> (places % 8)) & 1, -scales, scales)


def in_element_order(codes, base, dtype):
    """`exact` codes, which come sorted by the exponent of the base's patterns, as the elements stand."""
    low, span = {"BF16": (7, 256), "F16": (10, 32), "F32": (23, 256)}[dtype]
    ordered = np.empty(base.size, codes.dtype)
    ordered[np.argsort((base.astype(np.int64) >> low) % span, kind="stable")] = codes
    return ordered


def read_places(frame, elements):
    """(which elements a frame of encoding `magnitude` keeps, the bytes of their values)."""
    if len(frame) < 8:
        raise Refused("no room for K and G")
    count, size = struct.unpack_from("<II", frame)
    gaps = frame[8 : 8 + size]
    if not 1 <= count <= elements or not count <= size <= elements or len(gaps) != size or gaps[-1] == 255:
        raise Refused(f"{count} kept, {size} gap bytes")
    places, passed = [], 0
    for byte in gaps:
        passed += byte
        if byte != 255:
            places.append(passed)
            passed += 1
    if len(places) != count or places[-1] >= elements:
        raise Refused(f"{len(places)} places for {count} kept of {elements} elements")
    kept = np.zeros(elements, bool)
    kept[places] = True
    return kept, frame[8 + size :]


def apply_codes(base, codes, bits):
    """unordered(ordered(base) + unzigzag(code)), modulo 2^bits."""
    half, full = 1 << (bits - 1), 1 << bits
    b, z = base.astype(np.int64), codes.astype(np.int64)
    ordered = np.where(b >= half, full - 1 - b, b + half)
    moved = (ordered + np.where(z % 2 == 0, z // 2, full - (z + 1) // 2)) % full
    return np.where(moved >= half, moved - half, full - 1 - moved).astype(f"<u{bits // 8}")


def sparsified(coding):
    """Whether values were dropped when the skill was made."""
    return "density" in coding or coding["keep_threshold"] != FULL


class DeltaFile:
    """One delta file, by its bytes."""

    def __init__(self, data):
        self.payloads, self.metadata = read_safetensors(data)
        self.manifest = json.loads(self.metadata["mergestore.delta"], object_pairs_hook=_unique)
        entries = self.manifest["tensors"].values()
        extended = any("gains" in entry.get("low_rank", {}) or "added" in entry for entry in entries)
        if self.manifest["format"] != (2 if extended else 1):
            raise Refused(f"format {self.manifest['format']}")
        self.tensors = self.manifest["tensors"]
        self._check_payloads()

    @property
    def digest(self):
        return blake3_digest(canonical(self.manifest).encode())

    def resolve(self, name):
        return self.tensors[name].get("tied_to", name)

    def added(self, name):
        """The rows that were added to a tensor: (dtype, shape, raw bytes), or None."""
        kept = name if "added" in self.tensors[name] else self.resolve(name)
        return self.payloads[f"added/{kept}"] if "added" in self.tensors[kept] else None

    def elements(self, name):
        return math.prod(self.tensors[name]["shape"])

    def changes(self, name):
        return self.tensors[self.resolve(name)]["form"] != "same"

    def frames(self, name):
        """The decoded frames of a tensor of form `kept`."""
        _, _, payload = self.payloads[f"delta/{name}"]
        chunks = -(-self.elements(name) // CHUNK)
        table = [struct.unpack_from("<II", payload, 8 * i) for i in range(chunks)]
        position, frames = 8 * chunks, []
        if position + sum(stored for stored, _ in table) != len(payload):
            raise Refused(f"{name}: the frames do not fill the payload")
        for stored, decoded in table:
            frames.append(self._frame(payload[position : position + stored], decoded))
            position += stored
        return frames

    def _frame(self, stored, decoded):
        if not stored or not decoded:
            if stored or decoded:
                raise Refused("one size is 0, the other is not")
            return b""
        if zstandard.frame_content_size(stored) != decoded:
            raise Refused("the frame declares another size than the table")
        reader = zstandard.ZstdDecompressor().decompressobj()
        data = reader.decompress(stored)
        if len(data) != decoded or not reader.eof or reader.unused_data:
            raise Refused("the frame has another size, or something follows it")
        return data

    def content(self, name):
        """The content digest, from the payload."""
        form = self.tensors[name]["form"]
        low_rank = self.tensors[name].get("low_rank")
        sides = [side for side in ("a", "b", "gains") if low_rank and side in low_rank]
        pieces = self.frames(name) if form == "kept" else [self.payloads[low_rank[side]][2] for side in sides]
        return blake3_digest(b"".join(struct.pack("<I", len(piece)) + piece for piece in pieces))

    def values(self, name, base):
        """The fp32 delta values of a tensor from the base's raw bytes, not rescaled; and the rebuilt patterns."""
        name = self.resolve(name)
        entry = self.tensors[name]
        bits = np.frombuffer(base, PATTERN[entry["dtype"]])
        if entry["form"] == "lora" and "gains" in entry["low_rank"]:
            return self._with_gains(entry, widen(bits, entry["dtype"])), None
        if entry["form"] == "lora":
            return self._product(entry).reshape(-1), None
        parts = [
            self._chunk(name, entry, frame, index * CHUNK, bits[index * CHUNK : (index + 1) * CHUNK])
            for index, frame in enumerate(self.frames(name))
        ]
        if not parts:
            return np.zeros(0, np.float32), None
        values = np.concatenate([part[0] for part in parts])
        return values, np.concatenate([part[1] for part in parts]) if parts[0][1] is not None else None

    def _chunk(self, name, entry, frame, start, base):
        coding = entry["coding"]
        kept, data = self._kept(name, entry, frame, start, base.size)
        count = int(kept.sum())
        size = ITEMSIZE[entry["fine_tuned_dtype"]]
        expected = {"int4": -(-count // 2) + 2 * -(-count // 128), "bf16": 2 * count, "exact": size * count}
        expected["sign"] = -(-count // 8) + 2 * -(-count // 256)
        if frame and len(data) != expected[coding["values"]]:
            raise Refused(f"{name}: {len(data)} bytes for {count} kept values")
        values = np.zeros(base.size, np.float32)
        if coding["values"] != "exact":
            if frame and coding["values"] == "bf16":
                values[kept] = widen(join_planes(data, 2), "BF16")
            elif frame:
                values[kept] = (decode_int4 if coding["values"] == "int4" else decode_sign)(data, count)
            return values, None
        own, target = base[kept], entry["fine_tuned_dtype"]
        rounded = convert(own, entry["dtype"], target)
        codes = join_planes(data, size) if frame else np.zeros(count, f"<u{size}")
        rebuilt = apply_codes(rounded, in_element_order(codes, rounded, target), 8 * size)
        values[kept] = widen(rebuilt, target) - widen(own, entry["dtype"])
        return values, rebuilt if not sparsified(coding) else None

    def _kept(self, name, entry, frame, start, elements):
        """(which elements are kept, the bytes of their values)."""
        coding = entry["coding"]
        if "density" not in coding:
            key = mask_key(coding["seed"], entry["fine_tuned"], name)
            return keep(key, coding["keep_threshold"], start, elements), frame
        return read_places(frame, elements) if frame else (np.zeros(elements, bool), frame)

    def _product(self, entry):
        facts = entry["low_rank"]
        a, b = (self._factor(facts[side]) for side in "ab")
        product = np.zeros((facts["rows"], facts["columns"]), np.float32)
        for index in range(facts["rank"]):
            product = product + b[:, index : index + 1] * a[index : index + 1, :]
        product = product * np.float32(facts["scaling"])
        return np.ascontiguousarray(product.T) if facts["transposed"] else product

    def _with_gains(self, entry, own):
        facts, product = entry["low_rank"], self._product(entry)
        gains = self._factor(facts["gains"])[:, None]
        if facts["transposed"]:
            gains = gains.T
        whole = own.reshape(product.shape)
        return (gains * (whole + product) - whole).reshape(-1)

    def _factor(self, payload):
        dtype, shape, raw = self.payloads[payload]
        return widen(np.frombuffer(raw, PATTERN[dtype]), dtype).reshape(shape)

    def _check_added(self):
        grown = {name: entry for name, entry in self.tensors.items() if "added" in entry}
        if len({(entry["shape"][0], entry["added"]["rows"]) for entry in grown.values()}) > 1:
            raise Refused("a vocabulary that grew unevenly")
        for name, entry in grown.items():
            dtype, shape, raw = self.payloads[f"added/{name}"]
            if (dtype, shape) != (entry["added"]["dtype"], (entry["added"]["rows"], *entry["shape"][1:])):
                raise Refused(f"{name}: added rows of {dtype} {shape}")
            if blake3_digest(raw) != entry["added"]["digest"]:
                raise Refused(f"{name}: other added rows")

    def _check_payloads(self):
        named = {f"head/{name}" for name in self.manifest["head"]}
        self._check_added()
        for name, entry in self.tensors.items():
            if "added" in entry:
                named.add(f"added/{name}")
            if entry["form"] == "kept":
                named.add(f"delta/{name}")
            elif entry["form"] == "lora":
                named |= {entry["low_rank"][side] for side in ("a", "b", "gains") if side in entry["low_rank"]}
        if named != set(self.payloads):
            raise Refused("the payloads are not those that the manifest names")
