cd "$TMP" && vramscope mkmodel mixtral-8x7b -o d && ls d | tail -n 3 && vramscope inspect d --json - | head -n 8 && cat d/config.json
