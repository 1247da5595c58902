vramscope list gpus
