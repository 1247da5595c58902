vramscope sim llama-2-7b --dtype
