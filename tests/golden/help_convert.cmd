vramscope help convert
