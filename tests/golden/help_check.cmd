vramscope help check
