python3 tests/tools/small_snapshot.py larger "$TMP/larger.pickle" && cd "$TMP" && vramscope replay larger.pickle --strict --no-ranking
