vramscope inspect qwen3-0.6b --json -
