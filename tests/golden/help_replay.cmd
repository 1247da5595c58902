vramscope help replay
