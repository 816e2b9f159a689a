"""Verbs on evidence: verify what is here, attest and anchor it for elsewhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import report
from cli.console import remark, say
from cli.verb import Invocation, store_or_folder, verb
from mergestore import UsageError, Verification

if TYPE_CHECKING:
    from mergestore import Anchored, Attested

PASSWORD = "MERGESTORE_KEY_PASSWORD"

PasswordOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help=f"First line of it: password of an encrypted key; else ${PASSWORD}, else it is asked for.",
    ),
]


@verb
def verify(
    invocation: Invocation,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|DIR", help="A name, or a materialized folder; else the whole store.", show_default=False
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="PUB.pem", help="The public key that an attestation or anchor is signed with."),
    ] = None,
    attestation: Annotated[
        Path | None,
        typer.Option(
            "--attestation", metavar="FILE", help="What is signed of the target; else what the store or folder has."
        ),
    ] = None,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", metavar="FILE", help="The audit chain must still pass through this event."),
    ] = None,
) -> None:
    """Check bytes, records and the audit chain for damage.

    With --key also what is signed: that a folder is what was attested, and where it came from.
    """
    verification = _verified(invocation, target, key, attestation, anchor)
    invocation.answer(verification, report.verification)
    if not verification.ok:
        raise typer.Exit(verification.exit_code)


def _verified(
    invocation: Invocation, target: str | None, key: Path | None, attestation: Path | None, anchor: Path | None
) -> Verification:
    """A folder is checked without any store, too."""
    found = store_or_folder(invocation, target if anchor is None else None)
    if isinstance(found, Path):
        from registry.evidence.verifying import verify_folder

        return verify_folder(found, key, attestation, invocation.progress())
    with found as store:
        return store.verify(target, invocation.progress(), key=key, attestation=attestation, anchor=anchor)


@verb
def attest(
    invocation: Invocation,
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR|DIGEST", help="What was made last of a merge, recipe or output; or a published folder."
        ),
    ],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="KEY.pem", help="The private Ed25519 key to sign with.")
    ] = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Only the statement, to be signed elsewhere; nothing is recorded.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it into a file; else it is printed.")
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="With -o: add it, as one more line, to what is signed in FILE already.")
    ] = False,
    password_file: PasswordOption = None,
) -> None:
    """State what is in a model's folder and sign that.

    An in-toto statement with SLSA provenance, in a DSSE envelope: every file, and all it came from, by digest.
    """
    if (key is None) != unsigned:
        raise UsageError(
            "--key and --unsigned exclude each other" if unsigned else "a statement is signed with --key KEY.pem",
            hint="Leave one of them out."
            if unsigned
            else "Make a key: openssl genpkey -algorithm ed25519 -out KEY.pem",
        )
    with invocation.open() as store:
        answer = store.attest(
            target,
            key=key,
            password=_password(password_file),
            output=output,
            append=append,
            progress=invocation.progress(),
        )
    invocation.answer(answer, _attested)


@verb
def anchor(
    invocation: Invocation,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="KEY.pem", help="The private Ed25519 key to sign it with.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it into a file; else it is printed.")
    ] = None,
    password_file: PasswordOption = None,
) -> None:
    """Note the audit chain's last event, to be kept elsewhere.

    verify --anchor tells whether the chain still passes through it: one that was rewritten as a whole does not.
    """
    with invocation.open() as store:
        answer = store.anchor(key=key, password=_password(password_file), output=output)
    invocation.answer(answer, _anchored)


def _attested(answer: Attested) -> None:
    _document(answer.output, answer.envelope or answer.statement)
    remark(f"  {answer.path}: {answer.subjects} subjects")
    remark(f"  output {answer.output_digest}")
    _signed(answer.key_id, answer.notes)
    if answer.key_id is not None and not answer.created:
        remark("  note: the same is on record already")


def _anchored(answer: Anchored) -> None:
    _document(answer.output, answer.envelope or answer.anchor)
    remark(f"  event {answer.anchor['sequence']} of {answer.anchor['at']}")
    _signed(answer.key_id, answer.notes)


def _document(output: str | None, document: Mapping[str, Any]) -> None:
    """The file's path on stdout, or the document itself, on one line."""
    say(output if output is not None else json.dumps(document, sort_keys=True, separators=(",", ":")))


def _signed(key_id: str | None, notes: list[str]) -> None:
    remark(f"  signed with the key {key_id}" if key_id is not None else "  not signed")
    for note in notes:
        remark(f"  note: {note}")


def _password(file: Path | None) -> Callable[[], str]:
    """How the password of a key is had: from a file, the environment, or a person; asked only if it is needed."""

    def ask() -> str:
        if file is not None:
            try:
                return file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
            except (OSError, ValueError) as error:
                raise UsageError(f"cannot read the password in {file}: {error}", hint="name a text file") from error
        if PASSWORD in os.environ:
            return os.environ[PASSWORD]
        if not sys.stdin.isatty():
            raise UsageError(
                "the key is encrypted, and nobody is here to be asked for its password",
                hint=f"Set ${PASSWORD}, or name a file with it: --password-file FILE",
            )
        return str(typer.prompt("Password of the key", hide_input=True, err=True))

    return ask
