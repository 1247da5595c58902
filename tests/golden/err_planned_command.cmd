vramscope replay trace.pickle
