vramscope sim qwen3-0.6b --gpu 8GiB --svg "$TMP/a.svg" >/dev/null && head -c 200 "$TMP/a.svg"; vramscope sim qwen3-0.6b --svg a.png
