cd "$TMP" && vramscope mkmodel mistral-7b-v0.1 -o d --layers 3 > made && rm d/config.json && vramscope inspect d
