"""The small C library behind the fast paths: blocks to columns (columns.c), records of a
change log to columns (changes.c), and columns to lines (lines.c).

It is built with the package where there is a compiler (build_native.py), and is found in this folder or not at all. It
uses no Python ABI, so one build serves every Python; the interpreter's lock is free while it works. Whoever calls it
has a slower way that gives the same.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Any

_VERSION = 4
"""Of the library's functions: one that an earlier checkout has left is not used."""


class Stray(ctypes.Structure):
    """Where a cell begins that has no place in the columns: `stray` of columns.c.

    `field` is 1 in a key and 0 elsewhere; in a matrix it is the number of the field.
    """

    _fields_ = (
        ("row", ctypes.c_int64),
        ("place", ctypes.c_int64),
        ("column", ctypes.c_int32),
        ("field", ctypes.c_int32),
    )


class Cells(ctypes.Structure):
    """One column by the addresses of its Arrow buffers: `cells` of lines.c."""

    _fields_ = (
        ("valid", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("text", ctypes.c_void_p),
        ("first", ctypes.c_int64),
        ("type", ctypes.c_int64),
    )


def library_path() -> Path:
    """Where the library is, if it was built."""
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    return Path(__file__).with_name(f"_native{suffix}")


@cache
def library() -> Any:
    """The library, or None where there is none for this machine."""
    if sys.byteorder != "little" or sys.maxsize < 2**32 or not library_path().is_file():
        return None
    try:
        return _declared(ctypes.CDLL(str(library_path())))
    except (OSError, AttributeError):  # built for another machine, or by another version
        return None


def _declared(found: Any) -> Any:
    if found.tablestore_native_version() != _VERSION:
        return None
    pointer, text, size, whole = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64
    found.tablestore_decoder_new.argtypes = [ctypes.c_int32, text, ctypes.POINTER(ctypes.c_uint32), text, text]
    found.tablestore_decoder_new.restype = pointer
    found.tablestore_decoder_free.argtypes = [pointer]
    found.tablestore_decoder_free.restype = None
    found.tablestore_decoder_decode.argtypes = [pointer, pointer, size, pointer]
    found.tablestore_decoder_decode.restype = whole
    found.tablestore_decoder_strays.argtypes = [pointer, ctypes.POINTER(whole)]
    found.tablestore_decoder_strays.restype = ctypes.POINTER(Stray)
    found.tablestore_changes_new.argtypes = [ctypes.c_int32, text, ctypes.POINTER(ctypes.c_uint32), text]
    found.tablestore_changes_new.restype = pointer
    found.tablestore_changes_free.argtypes = [pointer]
    found.tablestore_changes_free.restype = None
    log = [pointer, pointer, ctypes.POINTER(whole), whole, text, ctypes.c_int32, pointer, pointer, pointer]
    found.tablestore_changes_decode.argtypes = log
    found.tablestore_changes_decode.restype = whole
    lines = [ctypes.POINTER(Cells), whole, whole, ctypes.c_uint8, text, size, ctypes.POINTER(size)]
    found.tablestore_lines_write.argtypes = lines
    found.tablestore_lines_write.restype = pointer
    found.tablestore_lines_free.argtypes = [pointer]
    found.tablestore_lines_free.restype = None
    return found
