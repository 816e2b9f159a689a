"""The edge of the program: every way a run can end becomes an exit code and a message, never a traceback."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command

from cli import EXIT_TERMINATED, Terminated, console, logs
from cli.app import app
from cli.logs import EXIT_BUG, EXIT_DONE, EXIT_INTERRUPTED, EXIT_NO_READER
from cli.quick import NO_VALUE
from cli.verb import Invocation
from mergestore import MergestoreError, UsageError
from storage.files import disk_failure

# typer raises its parser's own exceptions and keeps their classes private; they all descend from the parent
# of BadParameter, wherever that parent lives in the installed version.
_ParserComplaint: Any = typer.BadParameter.__base__


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; the only place that catches everything."""
    invocation = Invocation.of(arguments)
    try:
        return _dispatch(arguments, invocation)
    except console.AnswerLost as loss:
        console.silence(sys.stdout)
        console.print_error(loss.message, loss.hint)
        return loss.exit_code
    except MergestoreError as refusal:
        return _fail(invocation, refusal.to_dict(), refusal.exit_code)
    except BrokenPipeError:
        console.silence(sys.stdout)
        return EXIT_NO_READER
    except Terminated:
        return _fail(invocation, _document("terminated", "terminated", None), EXIT_TERMINATED)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(invocation, _document("interrupted", "interrupted", None), EXIT_INTERRUPTED)
    except OSError as trouble:
        failure = disk_failure(trouble, f"cannot use {trouble.filename}" if trouble.filename else "the system refused")
        return _fail(invocation, failure.to_dict(), failure.exit_code)
    except Exception as bug:
        return _fail(invocation, _bug(bug, invocation.debug), EXIT_BUG)
    finally:
        logs.end()


def _dispatch(arguments: Sequence[str], invocation: Invocation) -> int:
    console.tolerate_any_text()
    try:
        with _command().make_context("mergestore", list(arguments), obj=invocation) as context:
            context.command.invoke(context)
        code = EXIT_DONE
    except typer.Exit as leave:
        code = leave.exit_code
    except _ParserComplaint as complaint:
        refusal = _usage(complaint)
        logs.refused(refusal, arguments)
        raise refusal from complaint
    console.answered()
    return code


@functools.cache
def _command() -> Any:
    return get_command(app)


def _usage(complaint: Any) -> UsageError:
    """The parser's complaint about an option or argument, as the error tree spells it."""
    path = complaint.ctx.command_path if complaint.ctx else "mergestore"
    if (lacking := _without_value(complaint)) is not None:
        spelled, metavar = lacking.opts[0], lacking.metavar or "VALUE"
        return UsageError(f"{spelled} needs a value: {metavar}", hint=f"Write: {path} … {spelled} {metavar}")
    unknown = getattr(complaint, "option_name", None) if hasattr(complaint, "possibilities") else None
    verbs = [name for name, verb in _command().commands.items() if _takes(verb, unknown)]
    if unknown and verbs:
        where = f"it is one of {', '.join(verbs)}"
        return UsageError(f"{path} has no option {unknown}", hint=f"{where}. See: {path} --help")
    return UsageError(complaint.format_message(), hint=f"See: {path} --help")


def _without_value(complaint: Any) -> Any:
    """The option that ends the line, or is followed by another, without the value that it needs."""
    if complaint.message == NO_VALUE:
        return complaint.param
    if complaint.ctx is None or not hasattr(complaint, "option_name") or hasattr(complaint, "possibilities"):
        return None  # an option that there is not has possibilities instead
    options = (each for each in complaint.ctx.command.params if hasattr(each, "is_flag"))
    return next((each for each in options if complaint.option_name in each.opts and not each.is_flag), None)


def _takes(verb: Any, option: str | None) -> bool:
    """Whether a verb, or one below it, has this option."""
    return any(option in parameter.opts for parameter in verb.params) or any(
        _takes(each, option) for each in getattr(verb, "commands", {}).values()
    )


def _bug(bug: Exception, debug: bool) -> dict[str, Any]:
    if debug:
        traceback.print_exception(bug)
    return _document(
        "bug",
        f"this is a bug in mergestore: {type(bug).__name__}: {bug}",
        None if debug else "Run the command again with --debug to see the traceback, and report it.",
    )


def _document(kind: str, message: str, hint: str | None) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message, "hint": hint}}


def _fail(invocation: Invocation, document: dict[str, Any], code: int) -> int:
    told = False
    try:
        if invocation.json:
            console.print_document(document)
        console.answered()
        told = invocation.json
    except (console.AnswerLost, BrokenPipeError):
        console.silence(sys.stdout)
    if not told:
        console.print_error(document["error"]["message"], document["error"]["hint"])
    return code
