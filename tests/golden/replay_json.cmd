python3 tests/tools/small_snapshot.py moved "$TMP/a.pickle" && cd "$TMP" && vramscope replay a.pickle --strict --no-ranking --json -
