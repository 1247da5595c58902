vramscope list models
