vramscope inspect llama-2-7b --dtype fp32
