vramscope help compare
