cd "$TMP" && vramscope sim llama-2-7b --json nowhere/out.json
