vramscope inspect qwen3-next-80b-a3b | sed "/^NOTES/,\$d"
