vramscope list families
