"""One file per kind of source. A new kind is one new file here; nothing else is edited.

A reader is a module with

- a docstring: the format on disk;
- ``PRIORITY``: readers are asked in ascending order (then by name), and the first that knows the
  source reads it. 0 names, 10 particular layouts of folders and files, 20 arrays, 30 tables,
  90 the last resort;
- ``matches(path) -> bool``: cheap; looks at names and first bytes only;
- ``read(path, ...) -> Collection``: its keyword-only parameters are the options of
  :func:`usl.data.open.open_collection` for such sources.
"""
