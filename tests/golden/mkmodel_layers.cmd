cd "$TMP" && vramscope mkmodel mixtral-8x7b -o d --layers=1 --json - && ls d && grep num_hidden_layers d/config.json
