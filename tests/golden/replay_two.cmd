python3 tests/tools/small_snapshot.py two "$TMP/two.pickle" && cd "$TMP" && vramscope replay two.pickle --strict --no-ranking
