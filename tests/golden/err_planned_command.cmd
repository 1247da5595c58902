vramscope record -o run.rec -- python load.py
