vramscope list gpu
