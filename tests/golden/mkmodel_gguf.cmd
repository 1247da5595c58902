cd "$TMP" && vramscope mkmodel mixtral-8x7b -o d --format gguf && ls d && vramscope mkmodel gemma-3-27b -o e --format=gguf --layers 2; vramscope mkmodel opt-6.7b -o f --format gguf; ls
