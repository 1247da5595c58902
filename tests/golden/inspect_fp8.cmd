vramscope inspect deepseek-v3
