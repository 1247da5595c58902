vramscope --version
