vramscope sim
