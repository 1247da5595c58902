python3 tests/tools/small_snapshot.py moved "$TMP/moved.pickle" && cd "$TMP" && vramscope replay moved.pickle --strict --no-ranking
