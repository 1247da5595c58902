cd "$TMP" && printf "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" >vocab.gguf && vramscope inspect vocab.gguf
