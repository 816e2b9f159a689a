"""What of a skill lies on the disk."""


def stored_bytes(store, reference):
    """The bytes of a skill's stored file."""
    (file,) = store.show(reference)["files"]
    digest = file["digest"].removeprefix("blake3:")
    return (store.home.root / "objects" / "blake3" / digest[:2] / digest).read_bytes()
