vramscope inspect qwen2.5-0.5b --tensors | head -n 30
