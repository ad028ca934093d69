"""Read a pickled dict of byte arrays by an interpreter of its own, which can run nothing.

A pickle is a program, and may name any function to be called while it is read. Of its some seventy
instructions only those that make plain data are known here, and of functions the four that an
array of bytes needs. NumPy's own unpickling is not called either: only flat uint8 data are taken
over. Nothing is allocated by what the file merely says: texts are read from what is there, and
numbers of the memo are keys.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError

MOST_STEPS = 3_000_000  # instructions; CIFAR-100's largest file has 400,000
MOST_BYTES = 1 << 30  # of a file


class _Refused(Exception):
    """The pickle asks for what data do not need."""


class _Mark:
    """Where a list, a dict or a tuple begins on the stack."""


class _DType:
    """Stands for ``numpy.dtype``; of its state, byte order and the like do not matter for bytes."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = code

    def build(self, state: Any) -> None:
        """Take the state."""


class _Array:
    """Stands for ``numpy.ndarray`` while its pickle is read."""

    value: NDArray[np.uint8] | None = None

    def build(self, state: Any) -> None:
        """Take ``(version, shape, dtype, is_fortran, raw)``, if it is what it says."""
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _DType) or dtype.code not in ("u1", "|u1", b"u1"):
            raise _Refused("an array of other values than uint8")
        content = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        if math.prod(shape) != len(content):
            raise _Refused("an array of another size than its shape")
        flat = np.frombuffer(content, dtype=np.uint8)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


def _new_array(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _Refused(f"text encoded as {encoding!r}")
    return text.encode("latin1")


ALLOWED: dict[str, Any] = {
    "numpy ndarray": _Array,
    "numpy dtype": _DType,
    "numpy.core.multiarray _reconstruct": _new_array,
    "numpy._core.multiarray _reconstruct": _new_array,
    "_codecs encode": _encode,
}
CALLS = tuple(ALLOWED.values())
VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS, GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, value: Any) -> None:
        """Carry out one instruction; :class:`_Refused` for one that is not known."""
        stack = self.stack
        if name in VALUES:
            stack.append(value)
        elif name in PUTS or name == "MEMOIZE":
            self.memo[len(self.memo) if name == "MEMOIZE" else value] = stack[-1]
        elif name in GETS:
            stack.append(self.memo[value])
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name]())
        elif name == "APPEND":
            value = stack.pop()
            self.top(list).append(value)
        elif name == "APPENDS":
            values = self.since_mark()
            self.top(list).extend(values)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _fill(self.top(dict), [key, value])
        elif name == "SETITEMS":
            values = self.since_mark()
            _fill(self.top(dict), values)
        elif name in ("LIST", "TUPLE"):
            values = self.since_mark()
            stack.append(values if name == "LIST" else tuple(values))
        elif name == "DICT":
            values = self.since_mark()
            stack.append(_fill({}, values))
        elif name in TUPLES:
            values = [stack.pop() for _ in range(TUPLES[name])]
            stack.append(tuple(reversed(values)))
        elif name == "POP":
            stack.pop()
        else:
            self.call(name, value)

    def call(self, name: str, value: Any) -> None:
        """The instructions by which a pickle names, calls and fills something of Python's."""
        stack = self.stack
        if name in ("GLOBAL", "STACK_GLOBAL"):
            if name == "STACK_GLOBAL":
                function, module = stack.pop(), stack.pop()
                value = f"{module} {function}"
            if value not in ALLOWED:
                raise _Refused(f"it asks for {str(value)[:80].replace(' ', '.')}")
            stack.append(ALLOWED[value])
        elif name == "REDUCE":
            values, function = stack.pop(), stack.pop()
            if function not in CALLS or not isinstance(values, tuple):
                raise _Refused("it calls what is no function of an array")
            stack.append(function(*values))
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], _Array | _DType):
                raise _Refused("it fills something else than an array")
            stack[-1].build(state)
        else:
            raise _Refused(f"it has the instruction {name}")

    def top(self, kind: type) -> Any:
        """The last thing on the stack, of the kind that is filled."""
        if type(self.stack[-1]) is not kind:
            raise _Refused("it fills something else than a list or a dict")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        """What was put on the stack since the last mark, taken off with it."""
        values = []
        while not isinstance(last := self.stack.pop(), _Mark):
            values.append(last)
        return values[::-1]


def _fill(held: dict[Any, Any], pairs: list[Any]) -> dict[Any, Any]:
    """Put keys and values, one after the other, into a dict; keys are texts."""
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(key, str | bytes):
            raise _Refused("a key that is no text")
        held[key.decode("latin1") if isinstance(key, bytes) else key] = value
    return held


def load_pickle(path: Path) -> dict[str, Any]:
    """Read a pickled dict; its arrays must be uint8.

    Raises
    ------
    DataError
        if the file is cut short, is no dict, or asks for anything that data do not need.
    """
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise _Refused(f"{size:,} bytes, where {MOST_BYTES:,} are the most")
        content = _interpreted(path.read_bytes())
    except Exception as error:  # a hostile or broken pickle raises nearly anything
        why = str(error) or type(error).__name__
        raise DataError(
            f"{path}: not read, because it is not plain data ({why}). Fetch the file again from "
            "its origin."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a pickled dict, got {type(content).__name__}.")
    return {
        key: value.value if isinstance(value, _Array) else value for key, value in content.items()
    }


def _interpreted(content: bytes) -> Any:
    machine = _Machine()
    for number, (code, value, _) in enumerate(pickletools.genops(content)):
        if number > MOST_STEPS:
            raise _Refused(f"more than {MOST_STEPS:,} instructions")
        if code.name == "STOP":
            break
        if code.name not in ("PROTO", "FRAME"):
            machine.step(code.name, value)
    (result,) = machine.stack
    return result
