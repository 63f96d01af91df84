"""A spec file becomes a model, or every problem of it with its place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec import FullExportSpec, load, parse, read

SHORTEST = """\
pipeline: gps_full
kind: full_export
source: {table: ots_gps_data}
sink: {type: oss, bucket: backup, prefix: gps/full/}
"""


def places(text):
    return [(p.line, p.column, p.path) for p in parse(text).problems]


def messages(text):
    return [str(p) for p in parse(text).problems]


def test_the_shortest_spec_is_complete(tmp_path):
    (tmp_path / "gps.yaml").write_text(SHORTEST)

    spec = load(tmp_path / "gps.yaml")

    assert isinstance(spec, FullExportSpec)
    assert spec.source.connection == "tablestore_default"
    assert spec.sink.format == "parquet"
    assert spec.sink.write_mode == "truncate"
    assert spec.retry.delay == timedelta(minutes=2)
    assert spec.schedule is None


def test_all_problems_are_told_at_once_with_their_places():
    text = SHORTEST.replace("table:", "tabel:").replace("bucket: backup", "bucket: Back up").replace("full/}", "full}")

    assert places(text) == [
        (3, 1, "source.table"),
        (3, 10, "source.tabel"),
        (4, 27, "sink.bucket"),
        (4, 44, "sink.prefix"),
    ]


def test_an_unknown_key_names_the_nearest():
    (problem,) = parse(SHORTEST.replace("kind:", "retri: {times: 1}\nkind:")).problems

    assert (problem.line, problem.column) == (2, 1)
    assert problem.hint == "did you mean 'retry'?"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("prefix: x/", "it belongs under 'sink'"),
        ("writer: {}", "here it is sink"),
        ("speed: {mbps: 1}", "here it is limits"),
    ],
)
def test_a_key_from_elsewhere_is_told_its_place(line, hint):
    assert [p.hint for p in parse(SHORTEST + line).problems] == [hint]


def test_a_misspelt_kind_names_the_nearest():
    assert [p.hint for p in parse(SHORTEST.replace("full_export", "fullexport")).problems] == [
        "did you mean 'full_export'?"
    ]


def test_a_key_that_yaml_takes_for_null_is_a_key():
    spec = parse(SHORTEST.replace("full/}", 'full/, format: csv, csv: {null: "~"}}')).spec

    assert spec.sink.csv.null == "~"


def test_words_that_yaml_once_took_for_booleans_are_text():
    spec = parse(SHORTEST.replace("data}", "data, columns: [no, on, y, 12:30, 2026-01-01]}")).spec

    assert [c.name for c in spec.source.columns] == ["no", "on", "y", "12:30", "2026-01-01"]


def test_yes_is_a_truth_where_one_is_wanted():
    spec = parse(SHORTEST.replace("full/}", "full/, format: csv, csv: {header: no}}")).spec

    assert spec.sink.csv.header is False


def test_a_doubled_key_is_an_error():
    assert "the key 'kind' stands here a second time" in messages(SHORTEST + "kind: full_export\n")[0]


def test_a_second_document_is_refused():
    assert "write one pipeline per file" in messages(SHORTEST + "---\n" + SHORTEST)[0]


def test_an_anchor_is_understood():
    text = SHORTEST.replace("{table:", "&here {table:") + "description: &d words\nowner: *d\n"

    assert parse(text).spec.owner == "words"


def test_an_anchor_bomb_is_refused():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )

    assert "once its anchors are written out" in messages(bomb)[0]


def test_an_anchor_that_holds_itself_is_refused():
    assert parse("pipeline: &a [*a]\n").spec is None


def test_deep_nesting_is_refused():
    assert "nested more than 50 deep" in messages("a: " + "[" * 200_000)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- a\n- b\n", "must be a mapping"),
        ("just text", "must be a mapping"),
        ("a: [1, 2\n", "is not valid YAML"),
        ("a: b: c\n", "is not valid YAML"),
        ("\tkind: x\n", "is not valid YAML"),
        ("a: *nothing\n", "has no anchor"),
        ("a: !!python/object/apply:os.system [echo]\n", "names a type"),
        ("? [a, b]\n: c\n", "a key must be text"),
        ("a: \x00\n", "is not YAML"),
    ],
)
def test_what_is_no_spec_is_refused_in_one_sentence(text, said):
    document = parse(text, "x.yaml")

    assert document.spec is None
    assert said in document.problems[0].message
    assert document.problems[0].file == "x.yaml"


def test_a_file_of_more_than_a_megabyte_is_not_read(tmp_path):
    (tmp_path / "big.yaml").write_text("# " + "x" * 1_000_001)

    assert "larger than 1 MB" in read(tmp_path / "big.yaml").problems[0].message


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"pipeline: \xff\xfe")

    assert "not UTF-8" in read(tmp_path / "binary.yaml").problems[0].message


def test_a_missing_file_is_a_spec_error(tmp_path):
    with pytest.raises(SpecError, match=r"none\.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml")


def test_a_broken_document_still_tells_its_name():
    assert parse(SHORTEST.replace("gps/full/", "")).pipeline == "gps_full"


def test_python_gets_the_same_problems_without_places():
    with pytest.raises(SpecError) as caught:
        FullExportSpec(pipeline="a b", source={"table": "t"}, sink={"type": "oss", "bucket": "backup", "prefix": ""})

    assert [p.path for p in caught.value.problems] == ["pipeline", "sink.prefix"]


def test_python_and_yaml_give_equal_specs():
    made = FullExportSpec(
        pipeline="gps_full",
        source={"table": "ots_gps_data"},
        sink={"type": "oss", "bucket": "backup", "prefix": "gps/full/"},
    )

    assert made == parse(SHORTEST).spec
