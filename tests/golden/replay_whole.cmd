python3 tests/tools/small_snapshot.py whole "$TMP/whole.pickle" && cd "$TMP" && vramscope replay whole.pickle --strict --no-ranking
