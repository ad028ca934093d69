"""Small files that stand for gigabytes, one function each; run as a program, it opens them all.

Prints a JSON line for each: its name, the error, and the peak of memory so far in megabytes.
"""

import faulthandler
import gzip
import json
import re
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HUGE = 1 << 30


def cifar(folder, content):
    home = folder / "cifar-10-batches-py"
    home.mkdir()
    (home / "batches.meta").write_bytes(content)
    (home / "data_batch_1").write_bytes(content)
    return home


def pickle_memo_number(folder):
    return cifar(folder, b"\x80\x02}r" + struct.pack("<I", 1 << 28) + b".")


def pickle_text_memo_number(folder):
    return cifar(folder, b"}p268435456\n.")


def pickle_long_bytes(folder):
    return cifar(folder, b"\x80\x04\x8e" + struct.pack("<Q", 1 << 33) + b"x.")


def pickle_long_array(folder):
    return cifar(folder, b"\x80\x05\x96" + struct.pack("<Q", 1 << 33) + b"x.")


def pickle_long_frame(folder):
    return cifar(folder, b"\x80\x04\x95" + struct.pack("<Q", 1 << 33) + b"}.")


def pickle_nested_key(folder):
    """A key whose hash takes 2^60 steps."""
    pairs = b"".join(b"2\x86" for _ in range(60))  # DUP, TUPLE2
    return cifar(folder, b"\x80\x02})" + pairs + b"K\x01s.")


def idx(folder, shape, unpacked):
    header = b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    block = gzip.compress(bytes(1 << 26), 1)
    content = gzip.compress(header) + block * (unpacked >> 26)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    return folder


def idx_of_more_than_its_header(folder):
    return idx(folder, (10, 28, 28), 6 << 30)


def idx_as_its_header_says(folder):
    return idx(folder, (8192, 1024, 1024), 1 << 33)


def idx_of_empty_images(folder):
    return idx(folder, (0xFFFFFFFF, 0, 28), 0)


def npz(folder, **arrays):
    with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, (shape, dtype, written) in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as handle:
                descr = {"descr": dtype, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(handle, descr)
                for _ in range(written >> 20):
                    handle.write(bytes(1 << 20))
    return folder / "x.npz"


def npz_features(folder):
    return npz(folder, features=((1 << 20, 256), "<f4", HUGE))


def npz_beside_features(folder):
    return npz(folder, features=((1 << 8, 1 << 10), "<f4", 1 << 20), more=((HUGE,), "|u1", HUGE))


def npz_many_short_rows(folder):
    return npz(folder, features=((60 << 20, 1), "|u1", 60 << 20))


def npz_long_texts(folder):
    features = ((1 << 10, 256), "<f4", 1 << 20)
    return npz(folder, features=features, ids=((1 << 10,), "<U262144", HUGE))


def npz_images(folder):
    return npz(folder, train_images=((1 << 14, 256, 256), "|u1", HUGE))


def npz_that_is_short(folder):
    return npz(folder, features=((1 << 20, 1 << 16), "<f4", 1 << 20))


def parquet(folder, table, **options):
    pq.write_table(table, folder / "x.parquet", **options)
    return folder / "x.parquet"


def parquet_one_long_path(folder):
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 1500, pa.int32()), ["x" * (1 << 20)])
    return parquet(folder, pa.table({"path": words, "label": ["a"] * 1500}), compression="zstd")


def parquet_one_long_label(folder):
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 1500, pa.int32()), ["x" * (1 << 20)])
    paths = [f"{number}.png" for number in range(1500)]
    return parquet(folder, pa.table({"path": paths, "label": words}), compression="zstd")


def parquet_long_texts_by_difference(folder):
    table = pa.table({"path": ["x" * (1 << 17)] * 6000})
    how = {"path": "DELTA_BYTE_ARRAY"}
    return parquet(folder, table, use_dictionary=False, column_encoding=how, compression="zstd")


def parquet_many_equal_rows(folder):
    rows = pa.DictionaryArray.from_arrays(np.zeros(30 << 20, np.int32), ["a.png"])
    return parquet(folder, pa.table({"path": rows}), compression="zstd")


def parquet_many_equal_numbers(folder):
    column = np.zeros(40 << 20, np.float64)
    return parquet(folder, pa.table({"f0": column, "f1": column}), compression="zstd")


def parquet_one_long_list(folder):
    values = pa.array(np.zeros(90 << 20, np.float32))
    lists = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    return parquet(folder, pa.table({"features": lists}), compression="zstd")


def long_id(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def csv_long_id(folder):
    rows = "".join(f"{number},1,2\n" for number in range(200))
    return long_id(folder, "x.csv", f"image_id,f0,f1\n{rows}{'x' * 20_000_000},1,2\n")


def jsonl_long_id(folder):
    rows = [{"image_id": str(number), "f": [1, 2]} for number in range(200)]
    rows.append({"image_id": "x" * 20_000_000, "f": [1, 2]})
    return long_id(folder, "x.jsonl", "\n".join(map(json.dumps, rows)))


def csv_one_longer_id_of_many(folder):
    rows = "".join(f"{number},1,2\n" for number in range(200_000))
    return long_id(folder, "x.csv", f"image_id,f0,f1\n{rows}{'x' * 4_000},1,2\n")


def npz_ids_of_many(folder):
    """Not packed, but the longest id is the width of all."""
    path = folder / "x.npz"
    ids = np.array(["x" * 5000, *map(str, range(800))])
    np.savez_compressed(path, features=np.ones((801, 2), np.float32), ids=ids)
    return path


ALL = [
    made
    for name, made in list(globals().items())
    if callable(made) and name.startswith(("pickle_", "idx_", "npz_", "parquet_", "csv_", "jsonl_"))
]


def main():
    from usl.core.errors import UslError
    from usl.data.open import open_collection

    faulthandler.dump_traceback_later(300, exit=True)
    for made in ALL:
        folder = Path(sys.argv[1]) / made.__name__
        try:
            open_collection(folder / (folder / "source").read_text())
            said = ""
        except UslError as error:
            said = str(error)
        status = Path("/proc/self/status").read_text()  # getrusage counts the parent's peak, too
        peak = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) >> 10
        print(json.dumps([made.__name__, said, peak]), flush=True)


def make(folder):
    """Write all of them below a folder, in the order in which they are opened."""
    for made in ALL:
        home = folder / made.__name__
        home.mkdir()
        source = made(home)
        (home / "source").write_text(str(source.relative_to(home)))


if __name__ == "__main__":
    main()
