vramscope calibrate --help
