cd "$TMP" && printf "GGUF\3\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0" >cut.gguf && vramscope inspect cut.gguf
