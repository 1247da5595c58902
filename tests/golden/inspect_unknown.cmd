cd "$TMP" && vramscope mkmodel qwen3-235b-a22b -o d --layers 2 > made && sed -i 's/"qwen3_moe"/"brandnew"/' d/config.json && vramscope inspect d
