cd "$TMP" && touch f && vramscope mkmodel llama-2-7b -o f/d; ls; vramscope mkmodel llama-2-7b -o /proc/nowhere/d
