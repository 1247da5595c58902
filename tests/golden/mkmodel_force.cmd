cd "$TMP" && vramscope mkmodel qwen2.5-0.5b -o d && vramscope mkmodel qwen2.5-0.5b --force -o d && ls d
