vramscope inspect gemma-3-27b
