cd "$TMP" && vramscope mkmodel qwen2.5-0.5b -o d >/dev/null && vramscope mkmodel mixtral-8x7b -o d --force
