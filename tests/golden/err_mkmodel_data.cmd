cd "$TMP" && vramscope mkmodel qwen2.5-0.5b --layers 1 -o d >/dev/null && printf x >>d/model.safetensors && vramscope mkmodel qwen2.5-0.5b -o d --force
