vramscope list hosts
