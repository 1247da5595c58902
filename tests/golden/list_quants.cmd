vramscope list quants
