"""The split file: what is written is read, what people do to it is understood."""

import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usl.core.errors import DataError, UslWarning
from usl.run.split import FIELDS, Split, first_rows
from usl.run.split_csv import rewrite

HEADER = "image_id,subset,state,label,weight,source\n"


def same(one: Split, other: Split) -> bool:
    return all(getattr(one, f).tolist() == getattr(other, f).tolist() for f in FIELDS)


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> Split:
    path = tmp_path / "split.csv"
    path.write_bytes(text.encode(encoding))
    return Split.read(path)


@pytest.fixture
def split() -> Split:
    ids = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    return Split.start(ids, ["train", "train", "train", "test"], picks=[2, 0])


def test_start_puts_requests_first_in_rank_order(split):
    assert split.ids.tolist() == ["c.jpg", "a.jpg", "b.jpg", "d.jpg"]
    assert split.states.tolist() == ["requested", "requested", "unlabeled", "unlabeled"]
    assert split.subsets.tolist() == ["train", "train", "train", "test"]
    assert split.requested().tolist() == [0, 1]
    assert split.labeled().tolist() == []


def test_with_labels(split):
    labeled = split.with_labels([1, 3], ["dog", " cat "], source="predicted", weights=[0.5, 2])
    assert labeled.labeled().tolist() == [1, 3]
    assert labeled.labeled("test").tolist() == [3]
    assert labeled.labels.tolist() == [None, "dog", None, "cat"]
    assert labeled.weights.tolist() == [1, 0.5, 1, 2]
    assert labeled.sources.tolist() == ["", "predicted", "", "predicted"]
    assert split.labeled().tolist() == [], "the original stays"
    for rows, labels, source in (
        ([0], ["x", "y"], "human"),
        ([0], [" "], "human"),
        ([0], ["x"], "?"),
    ):
        with pytest.raises(DataError):
            split.with_labels(rows, labels, source=source)


def test_written_file(split, tmp_path):
    split.with_labels([1], ["dog"], weights=0.25).write(tmp_path)
    assert (tmp_path / "split.csv").read_bytes() == (
        b"image_id,subset,state,label,weight,source\n"
        b"c.jpg,train,requested,,1,\n"
        b"a.jpg,train,labeled,dog,0.25,human\n"
        b"b.jpg,train,unlabeled,,1,\n"
        b"d.jpg,test,unlabeled,,1,\n"
    )
    mirror = pq.read_table(tmp_path / "split.parquet")
    assert mirror.column_names == ["image_id", "subset", "state", "label", "weight", "source"]
    assert mirror["label"].to_pylist() == [None, "dog", None, None]
    assert mirror["weight"].to_pylist() == [1.0, 0.25, 1.0, 1.0]


def test_byte_order_mark_only_where_excel_needs_it(tmp_path):
    Split.start(["ü.jpg"], ["train"]).write(tmp_path)
    assert (tmp_path / "split.csv").read_bytes().startswith(b"\xef\xbb\xbfimage_id")
    assert Split.read(tmp_path).ids.tolist() == ["ü.jpg"]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
tricky = st.sampled_from(["007", "1e5", "=1+1", "@x", "a,b", 'q"q', '"', "l\nf", "c\r\nr", "NaN"])


@given(
    ids=st.lists(texts.filter(str.strip), min_size=1, max_size=8, unique=True),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_round_trip(tmp_path_factory, ids, data):
    n = len(ids)
    subsets = data.draw(st.lists(st.sampled_from(["train", "val", "test"]), min_size=n, max_size=n))
    split = Split.start(ids, subsets, picks=range(data.draw(st.integers(0, n))))
    rows = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    label = (texts | tricky).map(str.strip).filter(bool)
    labels = data.draw(st.lists(label, min_size=len(rows), max_size=len(rows)))
    weight = st.floats(0, 1e9, allow_nan=False)
    weights = data.draw(st.lists(weight, min_size=len(rows), max_size=len(rows)))
    source = data.draw(st.sampled_from(["human", "propagated", "predicted"]))
    split = split.with_labels(rows, labels, source=source, weights=weights)
    folder = tmp_path_factory.mktemp("run")
    split.write(folder)
    back = Split.read(folder)
    assert same(back, split)
    back.write(folder / "again")
    assert (folder / "again/split.csv").read_bytes() == (folder / "split.csv").read_bytes()
    mirror = pq.read_table(folder / "split.parquet")
    assert mirror["label"].to_pylist() == split.labels.tolist()
    assert mirror["image_id"].to_pylist() == ids


ROWS = """image_id,subset,state,label,weight,source
x/1.jpg,train,requested,007,1,
x/2.jpg,train,unlabeled,Zürich,,
x/3.jpg,val,labeled,"a;b",0.5,propagated
x/4.jpg,test,unlabeled,,1.0,
"""


def expect(split: Split) -> None:
    assert split.ids.tolist() == ["x/1.jpg", "x/2.jpg", "x/3.jpg", "x/4.jpg"]
    assert split.subsets.tolist() == ["train", "train", "val", "test"]
    assert split.states.tolist() == ["labeled", "labeled", "labeled", "unlabeled"]
    assert split.labels.tolist() == ["007", "Zürich", "a;b", None]
    assert split.weights.tolist() == [1, 1, 0.5, 1]
    assert split.sources.tolist() == ["human", "human", "propagated", ""]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path, encoding):
    expect(read(tmp_path, ROWS, encoding))


def test_excel_with_a_decimal_comma(tmp_path):
    text = ROWS.replace(",", ";").replace("0.5", "0,5").replace("1.0", "1,0")
    expect(read(tmp_path, text.replace("\n", "\r\n") + ";;;;;\r\n;;;;;\r\n"))


def test_tabs_blanks_and_capitals(tmp_path):
    text = ROWS.replace(",", "\t").replace("train", " Train ").replace("007", "  007 ")
    expect(read(tmp_path, text.replace("image_id", "Image_ID").replace("requested", "REQUESTED")))


def test_columns_reordered_and_added(tmp_path):
    lines = ["note,label,image_id,state,subset,source,weight"]
    for line in ROWS.splitlines()[1:]:
        image, subset, state, label, weight, source = line.split(",")
        lines.append(f"?,{label},{image},{state},{subset},{source},{weight}")
    expect(read(tmp_path, "\n".join(lines)))


def test_weight_and_source_may_be_missing(tmp_path):
    split = read(tmp_path, "image_id,subset,state,label\na,train,labeled,x\nb,train,requested,\n")
    assert split.weights.tolist() == [1, 1]
    assert split.sources.tolist() == ["human", ""]


def test_source_without_label_is_dropped(tmp_path):
    assert read(tmp_path, HEADER + "a,train,requested,,1,human\n").sources.tolist() == [""]


def test_given_source_is_kept_when_a_label_is_filled_in(tmp_path):
    split = read(tmp_path, HEADER + "a,train,unlabeled,x,1,predicted\n")
    assert (split.states[0], split.sources[0]) == ("labeled", "predicted")


def test_header_alone_is_an_empty_split(tmp_path):
    assert len(read(tmp_path, HEADER)) == 0


GOOD = "a,train,labeled,x,1,human\n\n"  # and an empty row: the next one is row 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "b,trian,requested,,,",
            r"unknown subset 'trian'; use train, val or test. Did you mean 't",
        ),
        ("b,,requested,,,", "unknown subset ''"),
        ("b,train,labelled,x,,", "unknown state 'labelled'.*Did you mean 'labeled'"),
        (
            "b,train,labeled,x,,me",
            "unknown source 'me'; use nothing, human, swept, propagated or predicted",
        ),
        ("b,train,labeled,,,", "'b' is labeled but has no label. Fill in"),
        ("b,train,labeled,x,-1,", "weight '-1' is not a number of at least 0"),
        ("b,train,labeled,x,nan,", "weight 'nan'"),
        ("b,train,labeled,x,inf,", "weight 'inf'"),
        ("b,train,labeled,x,1e999,", "weight '1e999'"),
        ("b,train,labeled,x,one,", "weight 'one'.*or leave it empty for 1"),
        (" ,train,labeled,x,,", "no image_id"),
        ("a,train,requested,,,", r"'a' has a row already \(row 2\)"),
        ("b,train,requested", "3 cells where the header has 6"),
    ],
)
def test_faults_name_file_row_value_and_fix(tmp_path, row, message):
    with pytest.raises(DataError, match=rf"split\.csv, row 4: .*{message}"):
        read(tmp_path, HEADER + GOOD + row + "\n")


def test_missing_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"row 1: no column 'state'.*this one has image_id, subset"):
        read(tmp_path, "image_id,subset,label\na,train,x\n")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"split\.csv: cannot be read"):
        Split.read(tmp_path)


def test_check_appends_new_images(tmp_path):
    split = read(tmp_path, HEADER + "c,train,labeled,x,1,human\na,train,requested,,1,\n")
    checked = split.check(["a", "b", "c", "d"], ["train", "train", "train", "test"])
    assert checked.ids.tolist() == ["c", "a", "b", "d"]
    assert checked.states.tolist() == ["labeled", "requested", "unlabeled", "unlabeled"]
    assert checked.subsets.tolist() == ["train", "train", "train", "test"]
    assert checked.positions(["a", "b", "c", "d"]).tolist() == [2, 0, 1, 3]
    assert same(split.check(["a", "c"], ["train", "train"]), split)


def test_check_names_unknown_images(tmp_path):
    split = read(tmp_path, HEADER + "a,train,requested,,,\n\nb1,train,requested,,,\n")
    with pytest.raises(
        DataError, match=r"row 4: no image 'b1' in the collection. Did you mean 'b2'"
    ):
        split.check(["a", "b2"], ["train", "train"])


def test_check_names_changed_images(tmp_path):
    split = read(tmp_path, HEADER + "b,train,requested,,,\na,train,requested,,,\n")
    ids, subsets = ["a", "b"], ["train", "train"]
    recorded = {"a": "1", "b": "2"}
    assert len(split.check(ids, subsets, digests=["1", "2"], recorded=recorded)) == 2
    assert len(split.check(ids, subsets, digests=["9", "2"], recorded={"b": "2"})) == 2
    with pytest.raises(DataError, match="row 3: the image 'a' has changed since"):
        split.check(ids, subsets, digests=["9", "2"], recorded=recorded)


def test_check_forgives_blanks_and_decomposed_umlauts(tmp_path):
    split = read(tmp_path, HEADER + "a , train,requested,,,\nu\u0308,train,requested,,,\n")
    checked = split.check(["ü", "a", " b"], ["train"] * 3)
    assert checked.ids.tolist() == ["a", "ü", " b"]
    assert checked.positions([" b", "a", "ü"]).tolist() == [1, 2, 0]
    twice = read(tmp_path, HEADER + "a,train,requested,,,\na ,train,requested,,,\n")
    with pytest.raises(DataError, match=r"row 3: image 'a' has a row already \(row 2\)"):
        twice.check(["a"], ["train"])


def test_check_without_a_file_names_the_row_it_would_have(split):
    with pytest.raises(DataError, match=r"split, row 2: no image 'c\.jpg' .*and 3 further rows"):
        split.check(["x"], ["train"])


def test_hundred_thousand_rows_are_quick(tmp_path):
    n = 100_000
    ids = np.array([f"n{i % 1000:08d}/n{i % 1000:08d}_{i}.JPEG" for i in range(n)])
    split = Split.start(ids, np.repeat("train", n), picks=range(0, n, 50))
    start = time.perf_counter()
    split.write(tmp_path)
    back = Split.read(tmp_path)
    assert time.perf_counter() - start < 5  # about 0.5 s on an idle machine
    assert same(back, split)


def test_first_rows_are_counted_from_the_header():
    assert [first_rows(count) for count in (1, 2, 40)] == ["row 2", "rows 2 to 3", "rows 2 to 41"]


def test_numbers_that_pandas_has_widened(tmp_path):
    """Filled in with ``s.loc[picks, "label"] = numbers``, the column becomes one of floats."""
    split = read(
        tmp_path,
        HEADER + "a,train,requested,0.0,,\nb,train,requested,1.0,,\nc,train,unlabeled,,,\n",
    )
    assert split.labels.tolist() == ["0", "1", None]
    split = read(tmp_path, HEADER + "a,train,requested,1,,\nb,train,unlabeled,-1,,\n")
    assert split.labels.tolist() == ["1", None]
    assert split.states.tolist() == ["labeled", "unlabeled"]
    for words in (["1.0", "1.5"], ["1.0", "cat"], ["-1", "high"]):
        rows = "".join(f"{word},train,requested,{word},,\n" for word in words)
        assert read(tmp_path, HEADER + rows).labels.tolist() == words


def test_unlabelled_images_that_are_gone_are_a_note(tmp_path):
    rows = "a,train,labeled,x,,\nb,train,unlabeled,,,\nc,train,requested,,,\n"
    split = read(tmp_path, HEADER + rows)
    with pytest.warns(UslWarning, match=r"1 image is gone \('b'\) and left out"):
        checked = split.check(["c", "d", "a"], ["train"] * 3)
    assert checked.ids.tolist() == ["a", "c", "d"]
    assert checked.labels.tolist() == ["x", None, None]
    assert checked.numbers.tolist() == [2, 4, 5]
    with pytest.raises(DataError, match="row 2: no image 'a'"):  # never in the run: a slip
        split.check(["c"], ["train"])


def test_images_of_the_run_that_are_gone_are_a_note_and_their_rows_stay(tmp_path):
    rows = (
        "a,train,labeled,x,2,\nb,train,unlabeled,,,\nc,train,requested,,,\nd,train,requested,,,\n"
    )
    split = read(tmp_path, HEADER + rows + "e,train,labeled,y,1,\n")
    recorded = dict.fromkeys("abcde", "1")
    with pytest.warns(
        UslWarning,
        match=r"3 images are gone \('a', 'b', 'c'; 1 labeled, 1 requested\) and left out",
    ):
        checked = split.check(["d", "e", "f"], ["train"] * 3, recorded=recorded)
    assert checked.ids.tolist() == ["d", "e", "f"]
    whole = checked.whole()
    assert whole.ids.tolist() == ["d", "e", "f", "a", "b", "c"]
    assert whole.labels.tolist() == [None, "y", None, "x", None, None]
    assert whole.weights.tolist() == [1, 1, 1, 2, 1, 1]
    rewrite(whole)
    assert Split.read(tmp_path / "split.csv").labels.tolist() == whole.labels.tolist()


def test_where_most_are_gone_it_is_another_collection(tmp_path):
    rows = "".join(f"{word},train,labeled,x,,\n" for word in "abcd")
    split = read(tmp_path, HEADER + rows)
    recorded = dict.fromkeys("abcd", "1")
    with pytest.raises(DataError, match=r"row 2: no image 'a'.*and 2 further rows"):
        split.check(["d", "x"], ["train"] * 2, recorded=recorded)
    with pytest.raises(DataError, match=r"row 2: no image 'a'.*and 3 further rows"):
        split.check(["x"], ["train"], recorded=recorded)
