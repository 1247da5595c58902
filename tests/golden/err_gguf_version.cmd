cd "$TMP" && printf "GGUF\1\0\0\0" >old.gguf && vramscope inspect old.gguf
