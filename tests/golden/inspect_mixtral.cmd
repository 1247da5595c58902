vramscope inspect mixtral-8x7b
