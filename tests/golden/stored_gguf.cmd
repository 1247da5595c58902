cd "$TMP" && vramscope mkmodel qwen2.5-0.5b --format gguf -o d >/dev/null && vramscope sim d/*.gguf --dtype bf16 --gpu 8GiB
