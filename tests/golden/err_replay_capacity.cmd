vramscope replay nothing.pickle --capacity 999999999999TiB
