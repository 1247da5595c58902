vramscope sim --help
