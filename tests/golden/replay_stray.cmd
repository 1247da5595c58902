python3 tests/tools/small_snapshot.py stray "$TMP/stray.pickle" && cd "$TMP" && vramscope replay stray.pickle --strict --no-ranking
