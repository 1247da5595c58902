vramscope sim llama-2-7b --dtype fp32 --gpu a100-40gb-sxm
