vramscope sim llama-2-7b --gpu 1e400
