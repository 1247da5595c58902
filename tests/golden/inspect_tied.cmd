vramscope inspect llama-3.2-1b
