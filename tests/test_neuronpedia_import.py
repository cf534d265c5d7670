"""Neuronpedia's own way in, gone through with a store's files on a real PostgreSQL.

Tables: the scalar fields of apps/webapp/prisma/schema.prisma in github.com/hijohnnylin/neuronpedia (commit 008d504), in its
words, with the keys that point from one to another. The way: apps/webapp/app/api/admin/import/route.ts and
apps/webapp/lib/db/import.ts there (commit efd6e35). Of the first four files each row goes to Prisma, which refuses a field that it
does not know, one of another type, and a row that lacks one; of the others, the columns are those of the file's first line, and
PostgreSQL casts what stands in them.
"""

import gzip
import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert

from app.neuronpedia import DEFAULT_CREATOR, Creator, slug, write_export
from app.store import score_schema
from app.store.features import FeatureStore

BATCH = 48  # features a file, here
SHOWN = 144  # features that keep their contexts but for those of the second file
ODD = {1: "a\0b", 2: '\\"\n\u202e', 3: "\ud83d"}  # by place in a context

# As in the schema: `?` may lack, `[]` is a list; `=` has a default.
FIELDS = {
    "SourceRelease": """name String, visibility Visibility=, isNewUi Boolean=, featured Boolean=, description String,
        descriptionShort String?, urls String[], creatorEmail String?, creatorName String, creatorNameShort String?,
        creatorId String, defaultSourceSetName String?, defaultSourceId String?, defaultUmapSourceIds String[],
        createdAt DateTime=""",
    "Model": """id String, displayNameShort String=, displayName String=, creatorId String, tlensId String?, openRouterId String?,
        dimension Int?, thinking Boolean=, visibility Visibility=, defaultSourceSetName String?, defaultSourceId String?,
        defaultGraphSourceSetName String?, inferenceEnabled Boolean=, instruct Boolean=, layers Int, neuronsPerLayer Int,
        createdAt DateTime=, owner String, updatedAt DateTime=, website String?""",
    "SourceSet": """modelId String, name String, hasDashboards Boolean=, allowInferenceSearch Boolean=, visibility Visibility=,
        description String, type String=, creatorName String, urls String[], creatorEmail String?, creatorId String,
        releaseName String?, hasGraphs Boolean=, graphEnabled Boolean=, similarityMatrixEnabled Boolean=, defaultOfModelId String?,
        defaultGraphModelId String?, defaultRange Int=, defaultShowBreaks Boolean=, showDfa Boolean=, showCorrelated Boolean=,
        showHeadAttribution Boolean=, showUmap Boolean=, createdAt DateTime=""",
    "Source": """id String, modelId String, hasDashboards Boolean=, inferenceEnabled Boolean=, saelensConfig Json?,
        saelensRelease String?, saelensSaeId String?, hfRepoId String?, hfFolderId String?, visibility Visibility=,
        defaultOfModelId String?, setName String, creatorId String, hasUmap Boolean=, hasUmapLogSparsity Boolean=,
        hasUmapClusters Boolean=, num_prompts Int?, num_tokens_in_prompt Int?, dataset String?, notes String?,
        cosSimMatchModelId String?, cosSimMatchSourceId String?, createdAt DateTime=""",
    "Neuron": """modelId String, layer String, index String, sourceSetName String?, creatorId String?, createdAt DateTime=,
        maxActApprox Float?, hasVector Boolean=, vector Float[], vectorLabel String?, vectorDefaultSteerStrength Float?,
        hookName String?, topkCosSimIndices Int[], topkCosSimValues Float[], neuron_alignment_indices Int[],
        neuron_alignment_values Float[], neuron_alignment_l1 Float[], correlated_neurons_indices Int[],
        correlated_neurons_pearson Float[], correlated_neurons_l1 Float[], correlated_features_indices Int[],
        correlated_features_pearson Float[], correlated_features_l1 Float[], neg_str String[], neg_values Float[], pos_str String[],
        pos_values Float[], frac_nonzero Float=, freq_hist_data_bar_heights Float[], freq_hist_data_bar_values Float[],
        logits_hist_data_bar_heights Float[], logits_hist_data_bar_values Float[], decoder_weights_dist Float[], umap_cluster Int?,
        umap_log_feature_sparsity Float?, umap_x Float?, umap_y Float?""",
    "Activation": """id String, tokens String[], dataIndex String?, index String, layer String, modelId String, dataSource String?,
        maxValue Float, maxValueTokenIndex Int, minValue Float, values Float[], dfaValues Float[], dfaTargetIndex Int?,
        dfaMaxValue Float?, zQIndices Int[], zKIndices Int[], zValues Float[], creatorId String, createdAt DateTime=,
        lossValues Float[], logitContributions String?, binMin Float?, binMax Float?, binContains Float?,
        qualifyingTokenIndex Int?""",
    "Explanation": """id String, modelId String, layer String, index String, description String, authorId String,
        triggeredByUserId String?, notes String?, scoreV1 Float=, scoreV2 Float?, umap_x Float?, umap_y Float?, umap_cluster Int?,
        umap_log_feature_sparsity Float?, typeName String?, explanationModelName String?, createdAt DateTime=,
        updatedAt DateTime=""",
}
KEYS = {  # what is unique, and what points where
    "SourceRelease": ("name", {"creatorId": "User (id)"}),
    "Model": ("id", {"creatorId": "User (id)"}),
    "SourceSet": (
        "modelId, name",
        {"modelId": "Model (id)", "creatorId": "User (id)", "releaseName": "SourceRelease (name)"},
    ),
    "Source": ("modelId, id", {"modelId, setName": "SourceSet (modelId, name)", "creatorId": "User (id)"}),
    "Neuron": (
        "modelId, layer, index",
        {
            "modelId, layer": "Source (modelId, id)",
            "modelId, sourceSetName": "SourceSet (modelId, name)",
            "creatorId": "User (id)",
        },
    ),
    "Activation": ("id", {"modelId, layer, index": "Neuron (modelId, layer, index)", "creatorId": "User (id)"}),
    "Explanation": ("id", {"modelId, layer, index": "Neuron (modelId, layer, index)", "authorId": "User (id)"}),
}
SQL = {
    "String": "TEXT",
    "Int": "INTEGER",
    "Float": "DOUBLE PRECISION",
    "Boolean": "BOOLEAN",
    "DateTime": "TIMESTAMP(3)",
}
SQL |= {"Json": "JSONB", "Visibility": "TEXT CHECK (\"visibility\" IN ('PUBLIC', 'UNLISTED', 'PRIVATE'))"}
DEFAULTS = {
    "String": "''",
    "Int": "1",
    "Float": "0",
    "Boolean": "false",
    "DateTime": "now()",
    "Visibility": "'PRIVATE'",
}
PYTHON: dict[str, type | tuple[type, ...]] = {"String": str, "Int": int, "Float": (int, float), "Boolean": bool}
PYTHON |= {"DateTime": str, "Visibility": str}


def fields(table: str) -> dict[str, str]:
    return dict(one.split() for one in FIELDS[table].split(","))


def quoted(names: str) -> str:
    return ", ".join(f'"{name.strip()}"' for name in names.split(","))


def create_tables(connection: Any) -> None:
    connection.execute('CREATE TABLE "User" ("id" TEXT PRIMARY KEY)')
    connection.execute('INSERT INTO "User" VALUES (%s)', (DEFAULT_CREATOR,))
    for table, (unique, others) in KEYS.items():
        parts = []
        for name, said in fields(table).items():
            kind = said.rstrip("?=[]")
            more = {"?": "", "]": "[]", "=": f" NOT NULL DEFAULT {DEFAULTS.get(kind)}"}.get(said[-1], " NOT NULL")
            parts.append(f'"{name}" {SQL[kind]}{more}')
        parts.append(f"UNIQUE ({quoted(unique)})")
        for names, there in others.items():
            other, _, its = there.partition(" ")
            parts.append(f'FOREIGN KEY ({quoted(names)}) REFERENCES "{other}" ({quoted(its.strip("()"))})')
        connection.execute(f'CREATE TABLE "{table}" ({", ".join(parts)})')


def insert_lines(connection: Any, table: str, text: str) -> int:
    """As importJsonlString does it; an empty file ends the import there, and here. Returns how many rows came in."""
    lines = text.replace("\\u0000", " ").strip().split("\n")
    names = list(json.loads(lines[0]))
    rows = connection.execute(
        """SELECT column_name, CASE WHEN data_type = 'ARRAY' THEN udt_name::regtype::text || '[]' ELSE data_type END
        FROM information_schema.columns WHERE table_name = %s AND column_name = ANY(%s) ORDER BY ordinal_position""",
        (table, names),
    ).fetchall()
    assert {name for name, _ in rows} == set(names), "columns that would be left out in silence"
    columns = ", ".join(f'"{name}"' for name, _ in rows)
    typed = ", ".join(f'"{name}" {kind}' for name, kind in rows)
    done = connection.execute(
        f'INSERT INTO "{table}" ({columns}) SELECT {columns} FROM jsonb_to_recordset(%s::jsonb) AS t({typed})'
        " ON CONFLICT DO NOTHING",
        (f"[{','.join(lines)}]",),
    )
    assert done.rowcount == len(lines), "rows that clash with others are dropped in silence"
    return int(done.rowcount)


def create(connection: Any, table: str, row: dict[str, Any]) -> None:
    """As prisma.TABLE.create takes a row."""
    known = fields(table)
    assert set(row) <= set(known), table
    assert {name for name, said in known.items() if said[-1] not in "?=]"} <= set(row), table
    for name, value in row.items():
        kind = known[name].rstrip("?=[]")
        for one in value if known[name].endswith("[]") else [value]:
            assert isinstance(one, PYTHON[kind]), (table, name)
            assert not (kind == "Int" and isinstance(one, bool)), (table, name)
            if kind == "DateTime":
                datetime.fromisoformat(one)
    insert_lines(connection, table, json.dumps(row))


def texts(folder: Path) -> list[str]:
    return [gzip.decompress(path.read_bytes()).decode() for path in sorted(folder.glob("*.jsonl.gz"))]


def explain(folder: Path, store: FeatureStore, found: dict[int, str]) -> None:
    """Explanations of features of the first dictionary, as `dartboard scores` leaves them beside the store."""
    engine = create_engine(f"sqlite:///{folder / 'scores.sqlite'}")
    score_schema.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA application_id = {score_schema.APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {score_schema.SCHEMA_VERSION}")
        mark = {"build_key": store.provenance().get("build_key"), "digest": ""}
        connection.execute(insert(score_schema.provenance).values(key="feature_store", value=mark))
        counts = dict.fromkeys(("unreadable", "answers", "prompt_tokens", "completion_tokens"), 0)
        for number, words in found.items():
            row = {"dictionary_id": 0, "feature": number, "text": words, "model": "m", "prompt_version": "1", **counts}
            connection.execute(insert(score_schema.explanation).values(row))
    engine.dispose()


def test_neuronpedia_would_take_the_files(
    data_folder: Path, tmp_path: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    psycopg = pytest.importorskip("psycopg")
    path = data_folder / "features.sqlite"
    with closing(FeatureStore(path)) as before:
        dictionary = before.dictionaries()[0]
        strongest = before.hits(dictionary.id, 3)[0]
        tokens = before.contexts([strongest.context])[strongest.context].tokens
    odd = [token if place == strongest.peak else ODD.get(place, token) for place, token in enumerate(tokens)]
    with sqlite3.connect(path) as connection:  # odd characters, and a whole file of features that fire on nothing
        connection.execute("UPDATE context SET tokens = ? WHERE id = ?", (json.dumps(odd), strongest.context))
        connection.execute(f"DELETE FROM hit WHERE feature >= {SHOWN} OR feature BETWEEN {BATCH} AND {2 * BATCH - 1}")
    connection.close()
    store = FeatureStore(path)
    explained = {3: "late \u202etrains", 50: "ends\nof lines"}
    explain(data_folder, store, explained)
    monkeypatch.setattr("app.neuronpedia.BATCH", BATCH)
    list(write_export(store, tmp_path / "out", Creator("A lab"), "r", [dictionary.name]))

    (site,) = store.sites()
    place = tmp_path / "out" / slug(site.model) / f"{site.layer}-{dictionary.name}"
    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as neuronpedia:
        create_tables(neuronpedia)
        for name, table in zip(("release", "model", "sourceset", "source"), FIELDS, strict=False):
            for line in (place / f"{name}.jsonl").read_text("utf-8").splitlines():
                create(neuronpedia, table, json.loads(line))
        come = {
            table: sum(insert_lines(neuronpedia, table, text) for text in texts(place / folder))
            for folder, table in (
                ("features", "Neuron"),
                ("activations", "Activation"),
                ("explanations", "Explanation"),
            )
        }
        said = neuronpedia.execute('SELECT "index", "description" FROM "Explanation"').fetchall()
        assert {int(index): words for index, words in said} == explained
        third = store.features(dictionary.id, limit=BATCH)[3]
        row = neuronpedia.execute(
            'SELECT "maxActApprox", "frac_nonzero", "pos_str" FROM "Neuron" WHERE "index" = %s', ("3",)
        ).fetchone()
        assert row == (third.max, third.frequency, [token for token, _ in third.outputs["top"]])
        shown = neuronpedia.execute(
            'SELECT "tokens", "values"["maxValueTokenIndex" + 1] = "maxValue" FROM "Activation"'
            ' WHERE "index" = %s AND "binContains" = -1 ORDER BY "maxValue" DESC, "id"',
            ("3",),
        ).fetchall()
    hits = store.hits(dictionary.id, 3)
    contexts = store.contexts(hit.context for hit in hits)
    known = (
        [token.replace("\0", " ").replace("\ud83d", "�") for token in contexts[hit.context].tokens] for hit in hits
    )
    assert sorted(tokens for tokens, _ in shown) == sorted(known)
    assert any("a b" in tokens for tokens, _ in shown)
    assert all(peak for _, peak in shown)
    assert come["Neuron"] == dictionary.m
    assert come["Activation"] > BATCH
    assert not (place / "activations" / "batch-1.jsonl.gz").exists(), "a file without a row ends the import"
    store.close()
