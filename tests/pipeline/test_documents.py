import gzip
import json
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from app.errors import NotFound, UserError
from pipeline.config import CorpusConfig
from pipeline.documents import Document, detokenise, read_documents


def read(source: Path | str, **options: str) -> list[Document]:
    return list(read_documents(CorpusConfig.model_validate({"name": "c", "source": str(source), **options})))


@pytest.mark.parametrize(
    ("spaced", "plain"),
    [
        ("a role @-@ playing game , released", "a role-playing game, released"),
        ("1 @,@ 200 @.@ 5 tons ( lit . heavy ) .", "1,200.5 tons (lit. heavy)."),
        ('the " Nameless " unit ; " yes " .', 'the "Nameless" unit; "yes".'),
        ("the game 's opening , players ' turns , do n't", "the game's opening, players' turns, don't"),
        ("5 % of $ 3 : why ?", "5% of $3: why?"),
    ],
)
def test_detokenise(spaced: str, plain: str) -> None:
    assert detokenise(spaced) == plain


def test_wikitext_sections_are_documents_with_their_path_as_title(tmp_path: Path) -> None:
    path = tmp_path / "w.raw.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(
            " \n = A = \n \n intro .\n \n = = B = = \n one\n two\n = = = C = = = \n deep\n = D = \n E = mc2 , = not a heading = \n"
        )
    assert read(path, documents="wikitext") == [
        Document("A", "intro."),
        Document("A › B", "one\ntwo"),
        Document("A › B › C", "deep"),
        Document("D", "E = mc2, = not a heading ="),
    ]


def test_text_by_file_line_and_paragraph(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("one\ntwo\n\nthree\n", "utf-8")
    (tmp_path / "a.md").write_text("first", "utf-8")
    (tmp_path / "ignored.png").write_bytes(b"\x89PNG")
    assert [d.text for d in read(tmp_path)] == ["first", "one\ntwo\n\nthree\n"]
    assert [d.text for d in read(tmp_path / "b.txt", documents="line")] == ["one", "two", "three"]
    assert [d.text for d in read(tmp_path / "b.txt", documents="paragraph")] == ["one\ntwo", "three"]


def test_jsonl_and_parquet_have_a_document_a_row(tmp_path: Path) -> None:
    rows = [{"body": "one", "title": "T"}, {"body": "two"}, {"body": "  "}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n", "utf-8")
    parquet.write_table(pyarrow.table({"body": ["one", "two"]}), tmp_path / "b.parquet")
    assert read(tmp_path / "a.jsonl", text_field="body") == [Document("T", "one"), Document("a, row 2", "two")]
    assert [d.text for d in read(tmp_path / "b.parquet", text_field="body")] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"caf\xe9", "not UTF-8"),
        ("a.jsonl", b'{"text": "ok"}\n{"text": \n', "line 2 is not valid JSON"),
        ("a.jsonl", b'{"body": "ok"}\n', "no text in 'text' .it has body."),
        ("a.jsonl", b"[1]\n", "it has list"),
        ("a.parquet", b"PAR1 no", "not a valid Parquet"),
        ("a.txt.gz", b"not gzip", "can't be read"),
        ("a.pdf", b"%PDF", "none of the kinds read"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / name)


def test_missing_sources(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file or folder"):
        read(tmp_path / "none.txt")
    with pytest.raises(NotFound, match="'no_such_package'"):
        read("package:no_such_package/text.txt")
    with pytest.raises(UserError, match="holds no"):
        read(tmp_path)


def test_a_data_set_in_the_hub_s_form(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="the `datasets` extra is not installed")
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n{"text": " "}\n{"text": "two"}\n', "utf-8")
    assert [d.text for d in read(f"dataset:{tmp_path}")] == ["one", "two"]


def test_a_data_set_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"install dartboard\[datasets\]"):
        read("dataset:any")
