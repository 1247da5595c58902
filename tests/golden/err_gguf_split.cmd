cd "$TMP" && printf "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" >a-00001-of-00003.gguf && vramscope inspect a-00001-of-00003.gguf
