"""Licences by the names that the Hugging Face Hub has for them, beside the ids of SPDX.

The Hub's list: https://huggingface.co/docs/hub/repositories-licenses. Most of its names are SPDX ids in lower case, and
mean those. Of the others, what SPDX lists under another id is that; all else is a LicenseRef of the same name: model
licences such as Llama's, and names of families that leave the version open, which SPDX has no id for.
"""

from __future__ import annotations

_LISTED = {
    "c-uda": "C-UDA-1.0",
    "lgpl-lr": "LGPLLR",
    "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0",
    "pddl": "PDDL-1.0",
}
"""Names of the Hub for what SPDX lists under another id."""
_OWN = (
    *("openrail", "openrail++", "bigscience-openrail-m", "creativeml-openrail-m", "bigscience-bloom-rail-1.0"),
    *("bigcode-openrail-m", "h-research", "intel-research", "apple-ascl", "apple-amlr", "deepfloyd-if-license"),
    *("fair-noncommercial-research-license", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4"),
    *("grok2-community", "gemma", "bsd", "cc", "gfdl", "gpl", "lgpl", "other"),
)
"""Names of the Hub for what SPDX does not list."""
_AS_SPDX = (
    *("apache-2.0", "mit", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear"),
    *("cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0"),
    *("cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0"),
    *("cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl"),
    *("ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gpl-2.0", "gpl-3.0"),
    *("lgpl-2.1", "lgpl-3.0", "isc", "lppl-1.3c", "ms-pl", "mpl-2.0", "osl-3.0", "postgresql", "ofl-1.1", "ncsa"),
    *("unlicense", "zlib"),
)
"""Names of the Hub that are SPDX ids; GPL-3.0 and its like are ids of before, and mean that version only."""


def licence_of_hub_name(name: str) -> str | None:
    """The licence that a name means which only the Hub has; None for what is not on its list."""
    if (listed := _LISTED.get(name.lower())) is not None:
        return listed
    return f"LicenseRef-{name.lower().replace('+', '-plus')}" if name.lower() in _OWN else None


def hub_name(licence: str) -> str | None:
    """The name that the Hub has for a licence, ``other`` apart; None for what it has none for."""
    own = {f"LicenseRef-{name.replace('+', '-plus')}".lower(): name for name in _OWN if name != "other"}
    listed = {id_.lower(): name for name, id_ in _LISTED.items()}
    plain = licence.lower()
    as_spdx = plain.removesuffix("-only") if plain.removesuffix("-only") in _AS_SPDX else None
    return own.get(plain) or listed.get(plain) or as_spdx
