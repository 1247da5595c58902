cd "$TMP" && : >m.gguf && vramscope sim m.gguf
