vramscope inspect gpt-oss-120b --json -
