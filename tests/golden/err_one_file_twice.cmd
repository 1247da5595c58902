cd "$TMP" && vramscope sim llama-2-7b --tape x --json ./x
