vramscope sim llama-2-7b llama-2-13b
