vramscope sim llama-2-7b --vary dtype=fp32
