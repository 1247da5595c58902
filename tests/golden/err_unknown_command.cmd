vramscope smi llama-2-7b
