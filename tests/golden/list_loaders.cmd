vramscope list loaders
