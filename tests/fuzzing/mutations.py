"""Damage to files: of their bytes, and of what they say, drawn by hypothesis."""

from __future__ import annotations

import io
import json
import pickle
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

HUGE = 10**4400  # of more digits than Python turns into text
ODD = [
    *(None, True, False, 0, -1, 1, 7, 10**30, HUGE, 0.5, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), "", " ", "x", "x" * 5000, "0", "-1", "1_0", "1e400", "nan"),
    *("None", "true", "a\0b", "\ud800", "\u0661", "a\nb,c", '"', "../..", "/", "=1+1", "cat"),
    *([], {}, [[]], [None], [True], [1, "a"], {"a": 1}, {"": None}, [{"choices": [None]}]),
]
ODD_TEXTS = [one for one in ODD if isinstance(one, str)] + ["1e308", "inf", '"open', "a,b", "\r"]
ODD_TOML = ["true", "-1", "0", "1e400", "nan", "[]", "{}", '""', "[[1]]", "1979-05-27", "9" * 5000]
places = st.integers(0, 10**6)
edits = st.lists(st.tuples(st.integers(0, 6), places, st.integers(0, 255)), min_size=1, max_size=4)


def of_bytes(content, given):
    """Flip, overwrite, insert, remove, repeat and cut: ``given`` is drawn from ``edits``."""
    made = bytearray(content)
    for how, place, value in given:
        at = place % max(1, len(made))
        if how == 0 and made:
            made[at] ^= 1 << (value % 8)
        elif how == 1 and made:
            made[at] = value
        elif how == 2:
            made[at:at] = bytes([value]) * (1 + place % 7)
        elif how == 3:
            del made[at : at + 1 + value]
        elif how == 4:
            made[at:at] = made[at : at + 1 + value]
        elif how == 5:
            del made[at:]
        elif len(made) >= 4:
            made[at : at + 4] = [b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff" * 4][value % 3]
    return bytes(made)


def of_value(value, place, how, odd):
    """Put an odd value somewhere into lists and dicts, or take something out or in twice."""
    spots = []

    def visit(held):
        items = held.items() if isinstance(held, dict) else enumerate(held)
        for key, inner in list(items):
            spots.append((held, key))
            if isinstance(inner, dict | list):
                visit(inner)

    whole = [value]
    visit(whole)
    held, key = spots[place % len(spots)]
    if how == 0 and held is not whole:
        del held[key]
    elif how == 1 and isinstance(held, list):
        held.insert(key, held[key])
    elif how == 2 and isinstance(held, dict):
        held[f"{'digits' if odd is HUGE else odd}"[:50]] = held.pop(key)
    else:
        held[key] = odd
    return whole[0]


def to_json(value):
    """JSON with numbers of any length."""
    text = json.dumps(value, default=str) if HUGE not in _numbers(value) else None
    if text is None:
        text = json.dumps(_marked(value)).replace('"HUGE"', "9" * 4400)
    return text.encode()


def _numbers(value):
    if isinstance(value, dict):
        return [one for inner in value.values() for one in _numbers(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in _numbers(inner)]
    return [value] if isinstance(value, int) else []


def _marked(value):
    if isinstance(value, dict):
        return {key: _marked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_marked(inner) for inner in value]
    return "HUGE" if isinstance(value, int) and value == HUGE else value


def of_json(content, place, how, number):
    odd = ODD[number % len(ODD)]
    return to_json(of_value(json.loads(content), place, how, odd))


def of_jsonl(content, place, how, number):
    lines = content.splitlines()
    at = place % len(lines)
    lines[at] = of_json(lines[at], place // len(lines), how, number)
    return b"\n".join(lines)


def of_csv(content, place, how, number):
    rows = [line.split(b",") for line in content.splitlines()]
    row = rows[place % len(rows)]
    at = (place // len(rows)) % len(row)
    if how == 0:
        del row[at]
    elif how == 1:
        rows.append(list(row))
    else:
        text = ODD_TEXTS[number % len(ODD_TEXTS)]
        row[at] = text.encode("utf-8", "surrogatepass")
    end = [b"\n", b"\r\n", b"\r"][number % 3] if how == 3 else b"\n"
    return end.join(b",".join(row) for row in rows)


def of_toml(content, place, how, number):
    lines = content.decode().splitlines()
    at = place % len(lines)
    name, mark, _ = lines[at].partition("=")
    odd = ODD_TOML[number % len(ODD_TOML)]
    lines[at] = f"{name}= {odd}" if mark and how else f"{odd} = {odd}"
    return "\n".join(lines).encode()


def of_xml(content, place, how, number):
    text = content.decode()
    spots = list(re.finditer(r'"[^"]*"|<[^>]*>', text))
    spot = spots[place % len(spots)]
    odd = [
        *('""', "<image>", "</image>", '"&#0;"', '"&x;"', "<!DOCTYPE a>", '"\u0661"', "]]>"),
        *('<?xml version="1.0" encoding="x"?>', '<?xml version="1.0" encoding="cp037"?>', "<a", ""),
    ][number % 12]
    left = text[: spot.start()] if how else ""
    return (left + odd + text[spot.end() :]).encode()


def odd_columns(n):
    """Columns of n rows, of every kind that a table may have."""
    return [
        pa.array([None] * n),
        pa.array([True] * n),
        pa.array([2**63 - 1] * n),
        pa.array([float("nan")] * n),
        pa.array([1e308] * n),
        pa.array([b"\xff\0"] * n),
        pa.array(["x\0"] * n),
        pa.array([""] * n),
        pa.array(["cat"] * n).dictionary_encode(),
        pa.array([[1.0]] * n),
        pa.array([[]] * n, pa.list_(pa.float32())),
        pa.array([[None]] * n, pa.list_(pa.float32())),
        pa.array([{"a": 1}] * n),
        pa.array([{"bytes": b"", "path": None}] * n),
        pa.array([0] * n, pa.timestamp("us")),
        pa.array([0] * n, pa.date32()),
        pa.array([1] * n, pa.decimal128(38, 0)),
        pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int64())),
        pa.array(["a"] * n, pa.large_string()),
        pa.array([0.5] * n, pa.float16()),
        pa.array([1] * n, pa.duration("s")),
    ]


def of_parquet(content, place, how, number):
    table = pq.read_table(io.BytesIO(content))
    at = place % table.num_columns
    name = table.column_names[at]
    odd = odd_columns(len(table))
    column = odd[number % len(odd)]
    if how == 0:
        table = table.drop_columns([name])
    elif how == 1:
        table = table.append_column(name, column)
    elif how == 2:
        table = table.slice(0, number % 2)
    else:
        table = table.set_column(at, name, column)
    made = io.BytesIO()
    how_packed = ["none", "snappy", "zstd", "gzip"][place % 4]
    pq.write_table(table, made, compression=how_packed, use_dictionary=bool(number % 2))
    return made.getvalue()


ODD_ARRAYS = [
    *(np.array(None), np.array(5), np.zeros(0), np.zeros((0, 3)), np.zeros((3, 0)), np.array("x")),
    *(np.full((3, 2), np.nan), np.zeros((2, 2), complex), np.zeros(3, bool), np.array(["", "b"])),
    *(np.array([{}], object), np.array([1, 2], ">i8"), np.zeros((2, 2, 2, 2)), np.array([b"a"])),
    *(np.array([0], "M8[s]"), np.zeros(2, [("a", "f4")]), np.full((3, 4), 1e308), np.int64(2**62)),
    *(np.array(["x\0y", "\ud800"]), np.zeros((1 << 16, 1), np.int8), np.array([-1, -2])),
]


def of_npz(content, place, how, number):
    with np.load(io.BytesIO(content), allow_pickle=True) as stored:
        arrays = dict(stored)
    names = list(arrays)
    name = names[place % len(names)]
    if how == 0:
        del arrays[name]
    else:
        arrays[name] = ODD_ARRAYS[number % len(ODD_ARRAYS)]
    made = io.BytesIO()
    (np.savez_compressed if how == 1 else np.savez)(made, **arrays)
    return made.getvalue()


def of_npy(content, place, how, number):
    made = io.BytesIO()
    np.save(made, ODD_ARRAYS[number % len(ODD_ARRAYS)])
    return made.getvalue()


def of_safetensors(content, place, how, number):
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.get("__metadata__", {}).pop("checksum", None)  # else it tells all of it
    about = header.get("__metadata__", {})
    if "usl" in about and place % 2:
        about["usl"] = of_json(about["usl"], place // 2, how, number).decode()
        text = json.dumps(header).encode()
    else:
        text = to_json(of_value(header, place, how, ODD[number % len(ODD)]))
    return len(text).to_bytes(8, "little") + text + content[start:]


def of_pickle(content, place, how, number):
    odd = [*ODD, np.zeros(3), np.zeros((2, 3072), np.int64), {1: 2}, (), {(): 1}][number % 46]
    protocol = place % 6 if odd is not HUGE else 4  # the first ones write digits
    return pickle.dumps(of_value(pickle.loads(content), place, how, odd), protocol)


STRUCTURES = {
    "json": of_json,
    "jsonl": of_jsonl,
    "csv": of_csv,
    "toml": of_toml,
    "xml": of_xml,
    "parquet": of_parquet,
    "npz": of_npz,
    "npy": of_npy,
    "safetensors": of_safetensors,
    "pickle": of_pickle,
}
