mkdir "$TMP/empty" && cd "$TMP" && vramscope sim empty
