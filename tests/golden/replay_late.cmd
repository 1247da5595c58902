python3 tests/tools/small_snapshot.py late "$TMP/late.pickle" && cd "$TMP" && vramscope replay late.pickle --strict --no-ranking
