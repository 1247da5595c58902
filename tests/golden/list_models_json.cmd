vramscope list models --json - | head -n 24
