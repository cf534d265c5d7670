"""A feature store as Neuronpedia's bulk-export files, which its importer reads. docs/neuronpedia.md says whom this follows.

for line in write_export(store, Path("exports"), Creator("A lab"), release="my-release"): …

    exports/MODEL/LAYER-DICTIONARY/
        release.jsonl model.jsonl sourceset.jsonl source.jsonl      one row each
        features/batch-N.jsonl.gz activations/batch-N.jsonl.gz      BATCH features a file
        explanations/batch-N.jsonl.gz                               where a language model explained them

Equal stores make equal files: ids are hashes, and the time of everything is that of the build.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from app.errors import UserError
from app.store.feature_schema import HISTOGRAM_BINS_PER_OCTAVE
from app.store.features import Context, Dictionary, Feature, FeatureStore, Relation, Site
from app.store.packing import Group, PackedHit
from app.store.scores import Explanation, Scores

BATCH = 1024  # features a file, as Neuronpedia's own exporter has it
DEFAULT_CREATOR = "clkht01d40000jv08hvalcvly"  # the user that SAEDashboard's exporter writes where it is told none
DECIMALS = 3
CONTEXTS_KEPT = 20_000
LEVEL = 5  # of compression: beyond it files take longer, and hardly less room
FIFTHS: tuple[Group, ...] = ("q1", "q2", "q3", "q4", "q5")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Creator:
    """Who is named as the author: `id` is that of a user of the Neuronpedia that imports it."""

    name: str
    id: str = DEFAULT_CREATOR


@dataclass(frozen=True, slots=True)
class Source:
    """A dictionary as Neuronpedia names it: `id` is its layer and its set's name, which is the dictionary's."""

    store: FeatureStore
    site: Site
    dictionary: Dictionary
    creator: Creator
    release: str
    created: str
    known: dict[int, Context] = field(default_factory=dict)  # features share contexts

    def contexts(self, ids: set[int]) -> dict[int, Context]:
        if len(self.known) > CONTEXTS_KEPT:
            self.known.clear()
        self.known.update(self.store.contexts(ids - self.known.keys()))
        return self.known

    @property
    def model(self) -> str:
        return slug(self.site.model)

    @property
    def id(self) -> str:
        return f"{self.site.layer}-{self.dictionary.name}"

    def owned(self, **values: Any) -> Row:
        """A row with who made it, and when."""
        return {**values, "creatorId": self.creator.id, "createdAt": self.created}


def write_export(
    store: FeatureStore, folder: Path, creator: Creator, release: str, dictionaries: Sequence[str] = ()
) -> Iterator[str]:
    """Write some dictionaries, all of them if none is named; yields a line about each. Raises NotFound, UserError."""
    chosen = [store.dictionary(name) for name in dictionaries] or store.dictionaries()
    published = datetime.fromisoformat(store.provenance()["published_at"]).astimezone(UTC)
    created = published.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    sites = {site.id: site for site in store.sites()}
    scores = Scores.beside(store)
    try:
        for dictionary in chosen:
            source = Source(store, sites[dictionary.site_id], dictionary, creator, slug(release), created)
            place = folder / source.model / source.id
            _write_source(place, source)
            _write_features(place, source)
            _write_explanations(place, source, scores.explanations(dictionary.id) if scores else {})
            yield f"Wrote {place}: {dictionary.m} features"
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error.strerror}); choose another folder.") from error
    finally:
        if scores:
            scores.close()


def slug(name: str) -> str:
    """Letters, digits, underscores and dashes alone, as the ids of models and releases are."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "none"


def _write_source(place: Path, source: Source) -> None:
    site, dictionary = source.site, source.dictionary
    creator = {"creatorName": source.creator.name}
    release = source.owned(
        name=source.release,
        description=f"Exported from a dartboard feature store, build {source.store.provenance().get('build_key', '')[:12]}",
        descriptionShort=source.release,
        creatorNameShort=source.creator.name,
        visibility="PUBLIC",
        isNewUi=False,
        featured=False,
        urls=[],
        defaultUmapSourceIds=[],
        **creator,
    )
    model = source.owned(
        id=source.model,
        displayName=site.model,
        displayNameShort=site.model,
        dimension=site.d,
        visibility="PUBLIC",
        inferenceEnabled=False,
        instruct=False,
        layers=0,
        neuronsPerLayer=0,
        owner=source.creator.name,
        updatedAt=source.created,
    )
    sourceset = source.owned(
        modelId=source.model,
        name=dictionary.name,
        description=f"{dictionary.title} ({'trained' if dictionary.trained else 'not trained'})",
        type="",
        visibility="PUBLIC",
        hasDashboards=True,
        urls=[],
        releaseName=source.release,
        **creator,
    )
    own = source.owned(
        id=source.id,
        modelId=source.model,
        setName=dictionary.name,
        visibility="PUBLIC",
        hasDashboards=True,
        inferenceEnabled=False,
        dataset=site.corpus,
        num_prompts=site.contexts,
        num_tokens_in_prompt=site.context_length,
        notes=f"{dictionary.kind}, {dictionary.rule}, seed {dictionary.seed}; weights SHA-256 {dictionary.weights_hash}",
    )
    place.mkdir(parents=True, exist_ok=True)
    for name, row in (("release", release), ("model", model), ("sourceset", sourceset), ("source", own)):
        (place / f"{name}.jsonl").write_bytes(_line(row))


def _write_features(place: Path, source: Source) -> None:
    store, dictionary = source.store, source.dictionary
    for number, first in enumerate(range(0, dictionary.m, BATCH)):
        features = store.features(dictionary.id, limit=BATCH, offset=first)
        _write_batch(place / "features", number, (_feature(source, feature) for feature in features))
        _write_batch(place / "activations", number, (row for one in features for row in _activations(source, one)))


def _write_explanations(place: Path, source: Source, explanations: dict[int, Explanation]) -> None:
    found = sorted(explanations.items())
    for number, first in enumerate(range(0, len(found), BATCH)):
        rows = (
            {
                "id": _identity(source, "explanation", feature),
                "modelId": source.model,
                "layer": source.id,
                "index": str(feature),
                "description": one.text,
                "authorId": source.creator.id,
                "notes": f"{one.model}, prompt {one.prompt_version}",
                "createdAt": source.created,
                "updatedAt": source.created,
            }
            for feature, one in found[first : first + BATCH]
        )
        _write_batch(place / "explanations", number, rows)


def _feature(source: Source, feature: Feature) -> Row:
    near = _own_neighbours(source.store.relations(source.dictionary.id, feature.index), source.dictionary)
    outputs = feature.outputs or {"top": [], "bottom": []}
    heights, values = _bars(feature.histogram)
    return source.owned(
        modelId=source.model,
        layer=source.id,
        index=str(feature.index),
        sourceSetName=source.dictionary.name,
        maxActApprox=feature.max,
        hasVector=False,
        vector=[],
        hookName=f"blocks.{source.site.layer}.hook_resid_post",
        frac_nonzero=feature.frequency,
        pos_str=[token for token, _ in outputs["top"]],
        pos_values=[value for _, value in outputs["top"]],
        neg_str=[token for token, _ in outputs["bottom"]],
        neg_values=[value for _, value in outputs["bottom"]],
        freq_hist_data_bar_heights=heights,
        freq_hist_data_bar_values=values,
        topkCosSimIndices=[index for index, _ in near],
        topkCosSimValues=[value for _, value in near],
    )


def _own_neighbours(relations: Iterable[Relation], dictionary: Dictionary) -> list[tuple[int, float]]:
    return [
        (feature, round(value, 4))
        for relation in relations
        if relation.kind == "neighbour" and relation.other_id == dictionary.id
        for feature, value in relation.features
    ]


def _bars(histogram: dict[str, Any]) -> tuple[list[int], list[float]]:
    """Tokens in each bin above zero, and the bin's middle on its logarithmic axis."""
    counts: list[int] = histogram["counts"]
    first = histogram["first"]
    return counts, [
        float(f"{2 ** ((first + number + 0.5) / HISTOGRAM_BINS_PER_OCTAVE):.4g}") for number in range(len(counts))
    ]


def _activations(source: Source, feature: Feature) -> Iterator[Row]:
    """The top contexts in a bin of their own, as SAEDashboard marks them (−1), and a bin for each fifth."""
    store, dictionary = source.store, source.dictionary
    hits = {group: store.hits(dictionary.id, feature.index, group) for group in ("top", *FIFTHS)}
    contexts = source.contexts({hit.context for some in hits.values() for hit in some})
    for group, some in hits.items():
        values = [hit.value for hit in some]
        edges = (
            (-1.0, round(feature.max, DECIMALS), -1.0)
            if group == "top"
            else (min(values, default=0.0), max(values, default=0.0), 0.2)
        )
        for place, hit in enumerate(some):
            yield _activation(source, feature, (group, place), hit, contexts[hit.context], edges)


def _activation(
    source: Source,
    feature: Feature,
    at: tuple[str, int],
    hit: PackedHit,
    context: Context,
    edges: tuple[float, float, float],
) -> Row:
    values: list[float] = [0] * len(context.tokens)  # 0 takes a third of the room that 0.0 does
    for position, value in zip(hit.positions, hit.values, strict=True):
        values[position] = round(value, DECIMALS)
    return source.owned(
        id=_identity(source, "activation", feature.index, *at),
        modelId=source.model,
        layer=source.id,
        index=str(feature.index),
        tokens=context.tokens,
        values=values,
        maxValue=max(values),
        maxValueTokenIndex=hit.peak,
        minValue=min(values),
        qualifyingTokenIndex=hit.peak,
        binMin=round(edges[0], DECIMALS),
        binMax=round(edges[1], DECIMALS),
        binContains=edges[2],
        dataSource=context.document,
        dataIndex=str(context.id),
    )


def _identity(source: Source, *parts: object) -> str:
    """An id of the length and letters that Neuronpedia's have, the same whenever it is made."""
    name = json.dumps([source.dictionary.weights_hash, source.id, *parts])
    return "c" + hashlib.sha256(name.encode()).hexdigest()[:24]


def _write_batch(folder: Path, number: int, rows: Iterable[Row]) -> None:
    """A file of rows. Where there is none, no file: an import ends with an error at an empty one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"batch-{number}.jsonl.gz"
    rows = iter(rows)
    if (first := next(rows, None)) is None:
        path.unlink(missing_ok=True)
        return
    with path.open("wb") as file, gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed:
        for row in chain((first,), rows):
            packed.write(_line(row))


def _line(row: Row) -> bytes:
    """A row as JSON; a lone surrogate, which PostgreSQL refuses, as U+FFFD."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
