vramscope sim llama-2-7bb
