vramscope help
