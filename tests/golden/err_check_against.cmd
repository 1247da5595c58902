vramscope check run.tape
