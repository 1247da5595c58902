cd "$TMP" && vramscope mkmodel llama-2-7b -o d --layers 33; vramscope mkmodel llama-2-7b -o d --layers 0; vramscope mkmodel llama-2-7b -o d --layers -1; ls
