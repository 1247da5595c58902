cd "$TMP" && vramscope sim qwen3-0.6b --gpu 8GiB --snapshot a.pickle >/dev/null && vramscope replay a.pickle --strict
