cd "$TMP" && vramscope sim llama-2-7b --gpu 12GiB --snapshot a.pickle >/dev/null && vramscope replay a.pickle --capacity 16GiB --json - | grep -v -e time_ns -e "\"event\"" | head -50
