cd "$TMP" && ulimit -f 8 && vramscope mkmodel llama-2-7b -o d; ls
