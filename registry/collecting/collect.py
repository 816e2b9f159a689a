"""Collecting statistics of a skill: its model is run on data, what was found is stored, then put on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.collecting import asked as asking
from registry.collecting import fisher, gram, passes
from registry.collecting.asked import Asked
from registry.collecting.examples import measure
from registry.collecting.likelihood import Likelihood
from registry.collecting.passes import Collection, Fishers, Grams, OfTokens
from registry.collecting.readying import Job, Ready, made_ready, of_forward
from registry.collecting.running import import_transformers, repeatable
from registry.collecting.under_way import under_way
from registry.home import Home
from registry.quota import record_within, require_room
from registry.records.catalog import resolve
from registry.records.contents import BlobRow, load_delta
from registry.records.database import reading, writing
from registry.records.names import parse_reference
from registry.records.readiness import refuse_unready
from registry.records.statistics import StatisticsRow, add_statistics, load_statistics
from registry.records.tables import ModelVersion, Statistics
from registry.results import CollectedStatistics, VersionRef
from registry.software import package_version, versions
from registry.wish import Context
from storage.blobs import Blob
from storage.errors import IntegrityFailure
from storage.files import remove_tree, temporary_path
from storage.progress import Progress
from storage.statistics.manifest import Manifest
from storage.statistics.statistics_file import StatisticsFile, StatisticsWriter


def collect_statistics(context: Context, reference: str, asked: Asked, progress: Progress) -> CollectedStatistics:
    """Collect statistics of a skill. The same again is recognised, and what was cut short is gone on with.

    Raises EnvironmentFailure without torch and transformers, InputRefused for a model or data that do not do.
    """
    asking.check(asked)
    import_transformers() if asked.model is None else _import_torch()
    _check_device(asked.device)
    with reading(context.engine) as session:
        skill = resolve(session, parse_reference(reference), kinds=("skill",))
        refuse_unready(session, skill)
        delta = load_delta(session, skill.id)
        if delta is None:
            raise IntegrityFailure(f"{skill.reference}: the record of its delta is missing")
        base = session.get_one(ModelVersion, delta.base_version_id)
    job = Job(asked, base, skill, delta, measure(asked.data, asked.examples), [])
    if job.data.examples < asked.examples:
        job.notes.append(f"examples that the file has: {job.data.examples}, fewer than {asked.examples}; all are used")
    with made_ready(context, job, progress) as ready:
        known = _known(context, job, ready)
        if known is not None:
            return _answer(context.home, job, known, created=False)
        return _collected(context, job, ready, progress)


def _import_torch() -> None:
    from merging.streaming.tensors import import_torch

    import_torch()


@contextmanager
def _memory_told(device: str) -> Iterator[None]:
    from merging.engines.torch_engine import told_out_of_memory

    with told_out_of_memory(device):
        yield


def _check_device(device: str) -> None:
    if device != "cpu":
        from merging.engines.torch_engine import torch_device

        torch_device(device)


def _known(context: Context, job: Job, ready: Ready) -> Statistics | None:
    """The same statistics, if they were collected before and are there; what a function does cannot be told."""
    if job.asked.forward is not None:
        return None
    wanted = (job.asked.kind, ready.digest, job.data.digest, job.data.examples, ready.settings)
    with reading(context.engine) as session:
        found = load_statistics(session, [job.skill.id])
    for record in reversed(found):
        if (record.kind, record.model_digest, record.data_digest, record.examples, record.settings) == wanted:
            try:
                context.home.blobs.verify(record.blob_digest)
            except IntegrityFailure:
                continue  # collected anew, it takes the place of what was damaged
            return record
    return None


def _collected(context: Context, job: Job, ready: Ready, progress: Progress) -> CollectedStatistics:
    with under_way(context.home, job, ready) as folder:
        try:
            finished, path = _run(context.home, job, ready, folder, progress, share=True)
        except gram.Unshared:
            job.notes.append("layers that had one input in the first example have different ones: none is shared")
            remove_tree(folder)
            folder.mkdir()
            finished, path = _run(context.home, job, ready, folder, progress, share=False)
        require_room(context.engine, context.home, path.stat().st_size)
        blob = context.home.blobs.adopt(path)
        record = _record(context, job, finished, blob)
        remove_tree(folder)
    return record


def _run(home: Home, job: Job, ready: Ready, folder: Path, progress: Progress, *, share: bool) -> tuple[Manifest, Path]:
    """The passes over the data, and the file with what they found."""
    collection = _collection(job, ready, share)
    plan = passes.Plan(
        data=job.data,
        folder=folder,
        device=job.asked.device if job.asked.device.startswith("cuda") else "cpu",
        memory=job.asked.memory,
        save_every=job.asked.save_every,
        batch=ready.settings.get("batch_size", 1),
        progress=progress,
        label=f"collect {job.asked.kind} of {job.skill.name}",
        notes=job.notes,
    )
    with repeatable(job.asked.device), _memory_told(job.asked.device):
        sums = passes.run(plan, collection)
    path = home.blobs.scratch("statistics")
    try:
        with StatisticsWriter(temporary_path(path.parent, "spool")) as writer:
            found = collection.finish(sums, writer)
            manifest = Manifest(
                kind=job.asked.kind,
                skill=job.skill.digest,
                model=ready.digest,
                data=job.data.digest,
                examples=job.data.examples,
                settings=ready.settings,
                payloads=found.payloads,
                tensors=found.tensors,
                norm=found.norm,
            )
            software = versions() | {"transformers": package_version("transformers")}
            writer.finish(path, manifest, software)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return manifest, path


def _collection(job: Job, ready: Ready, share: bool) -> Collection:
    running, asked = ready.running, job.asked
    if asked.kind == "gram":
        groups = passes.watch(running, ready.tokenizing, asked.forward, next(job.data.read()), share)
        return Grams(running, groups, ready.tokenizing, asked.forward, job.notes)
    labels, seed = ready.settings["labels"], ready.settings["seed"]
    weights = fisher.find_weights(running.parameters)
    if ready.tokenizing is None:
        return Fishers(running, weights, of_forward(job, running, None if labels == "forward" else labels, seed))
    return Fishers(running, weights, OfTokens(ready.tokenizing, Likelihood(running, labels, seed)))


def _record(context: Context, job: Job, manifest: Manifest, blob: Blob) -> CollectedStatistics:
    """One transaction: the blob, the statistics, the event. The same statistics again are the same record."""
    with writing(context.engine) as session:
        found = load_statistics(session, [job.skill.id])
        record = next((each for each in found if each.digest == manifest.digest), None)
        created = record is None
        if record is None:
            record_within(session, context.home, [BlobRow(blob.digest, blob.size, "statistics")])
            row = StatisticsRow(
                kind=manifest.kind,
                digest=manifest.digest,
                blob_digest=blob.digest,
                model_digest=manifest.model,
                data_digest=manifest.data,
                examples=manifest.examples,
                settings=dict(manifest.settings),
                created_by=context.actor,
            )
            record = add_statistics(session, job.skill, row)
    return _answer(context.home, job, record, created=created)


def _answer(home: Home, job: Job, record: Statistics, *, created: bool) -> CollectedStatistics:
    path = home.blobs.path(record.blob_digest)
    with StatisticsFile.open(path) as file:
        tensors = len(file.manifest.tensors)
    return CollectedStatistics(
        skill=VersionRef(job.skill.name, job.skill.version, job.skill.digest),
        kind=record.kind,
        digest=record.digest,
        model_digest=record.model_digest,
        data_digest=record.data_digest,
        examples=record.examples,
        settings=dict(record.settings),
        tensors=tensors,
        bytes=path.stat().st_size,
        notes=job.notes,
        created=created,
    )
