python3 tests/tools/small_snapshot.py bare "$TMP/bare.pickle" && cd "$TMP" && vramscope replay bare.pickle --strict
